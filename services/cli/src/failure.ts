import { DomainError } from '@surefoot/errors';

/** Exit statuses, the same for every command. */
export const exitStatus = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** A command line or options file that no command understands. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Ended by Ctrl-C. */
export class Interrupted extends Error {
  override name = 'Interrupted';

  /** @param message what was kept, and how to go on */
  constructor(message = 'interrupted') {
    super(message);
  }
}

/** Throws where the user has asked to stop. */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new Interrupted();
}

/** The exit status that an error means, and the one line that tells the user. */
export function describeFailure(error: unknown): { status: number; line: string } {
  if (error instanceof UsageError) return { status: exitStatus.usage, line: oneLine(error.message) };
  if (error instanceof Interrupted) return { status: exitStatus.interrupted, line: oneLine(error.message) };
  if (error instanceof DomainError) return { status: exitStatus.failed, line: oneLine(error.message) };
  return { status: exitStatus.failed, line: oneLine(`unexpected: ${String((error as Error)?.stack ?? error)}`) };
}

function oneLine(message: string): string {
  return message.trim().replace(/\s*\n\s*/g, '; ');
}
