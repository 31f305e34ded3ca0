import { DomainError } from '@surefoot/errors';
import { createProgress, type Progress } from './progress';

/** Where results, notes and progress go. */
export interface Terminal {
  /** Results: stdout. */
  print(text: string): Promise<void>;
  /** Everything else: one line on stderr. */
  note(line: string): void;
  /** A bar or lines of progress on stderr. */
  progress(label: string, total: number, unit: string): Progress;
}

/** The terminal of this process. */
export function createTerminal(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Terminal {
  return {
    print: (text) =>
      new Promise((resolve, reject) => stdout.write(text, (error) => (error ? reject(error) : resolve()))),
    note: (line) => void stderr.write(`${line}\n`),
    progress: (label, total, unit) => createProgress(stderr, { label, total, unit }),
  };
}

/**
 * A value as JSON on one line.
 *
 * @throws DomainError diverged where a number is not finite: JSON has no such numbers, and none may reach an output
 */
export function toJson(value: unknown, space?: number): string {
  return JSON.stringify(
    value,
    (key, part: unknown) => {
      if (typeof part === 'number' && !Number.isFinite(part))
        throw new DomainError('diverged', `the value of "${key}" is ${part}, not a finite number`);
      return ArrayBuffer.isView(part) ? Array.from(part as unknown as ArrayLike<number>) : part;
    },
    space,
  );
}
