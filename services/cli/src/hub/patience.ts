import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import { Interrupted } from '../failure';

/** How long a hub is waited for. */
export interface Patience {
  /** A connection that brings less than `stallBytes` in this time is given up. */
  stallMs: number;
  stallBytes: number;
  /** Attempts one after the other that may bring nothing. */
  retries: number;
  /** Before the first of them; it doubles. */
  firstDelayMs: number;
  maxDelayMs: number;
}

export const patient: Patience = {
  stallMs: 60_000,
  stallBytes: 16_384,
  retries: 5,
  firstDelayMs: 500,
  maxDelayMs: 30_000,
};

/** What another attempt may mend: a cut or silent connection, a server that is busy. */
export class Transient extends Error {
  override name = 'Transient';

  /** @param retryAfterMs how long the server asks to wait */
  constructor(
    message: string,
    readonly retryAfterMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a user is told who stops a pull. */
export const interrupted = () =>
  new Interrupted('interrupted; what has arrived is kept: run the same command to go on');

/** Waits. @throws Interrupted as soon as the signal is aborted */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw interrupted();
  });
}

/**
 * Runs `attempt` until it succeeds, with growing pauses where it fails in a way that may pass.
 *
 * @param attempt may call `progressed` when it has brought enough to count the attempts anew
 * @param options.onRetry told why there is another attempt
 * @throws DomainError unavailable after too many attempts in vain; whatever else `attempt` throws
 */
export async function withRetries<Result>(
  attempt: (progressed: () => void) => Promise<Result>,
  { patience, signal, onRetry }: { patience: Patience; signal: AbortSignal; onRetry?: (reason: string) => void },
): Promise<Result> {
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => (failures = 0));
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      failures += 1;
      if (failures > patience.retries) {
        const again = 'what has arrived is kept: check the network and HF_ENDPOINT, then run the same command again';
        throw new DomainError('unavailable', `${error.message}, ${failures} times; ${again}`, { cause: error });
      }
      onRetry?.(error.message);
      const delay = Math.max(patience.firstDelayMs * 2 ** (failures - 1), error.retryAfterMs);
      await pause(Math.min(delay, patience.maxDelayMs), signal);
    }
  }
}
