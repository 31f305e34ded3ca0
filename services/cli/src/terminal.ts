import { DomainError } from '@surefoot/errors';
import { createProgress, type Progress } from './progress';

/** Where results, notes and progress go. */
export interface Terminal {
  /** Results: stdout. */
  print(text: string): Promise<void>;
  /** Everything else: a line on stderr, above the bars that are shown. */
  note(line: string): void;
  /** A bar or lines of progress on stderr. */
  progress(label: string, total: number, unit: string): Progress;
}

const clearLine = '\r\u001b[K';

/** The terminal of this process. */
export function createTerminal(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Terminal {
  const bars = new Set<() => void>();
  return {
    print: (text) =>
      new Promise((resolve, reject) => stdout.write(text, (error) => (error ? reject(error) : resolve()))),
    note(line) {
      stderr.write(`${bars.size > 0 ? clearLine : ''}${line}\n`);
      for (const redraw of bars) redraw();
    },
    progress: (label, total, unit) => createProgress(stderr, { label, total, unit }, bars),
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
