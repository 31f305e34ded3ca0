import type { Patience } from './patience';

/** Ends a connection that brings too little for too long. */
export interface Watchdog {
  /** Aborted by the watchdog or with the signal it was made of. */
  signal: AbortSignal;
  /** True where it was the watchdog. */
  hasBitten(): boolean;
  /** Counts bytes that have arrived. */
  feed(bytes: number): void;
  stop(): void;
}

/** A watchdog that allows `stallMs` until the first answer, and afterwards for every `stallBytes`. */
export function createWatchdog({ stallMs, stallBytes }: Patience, signal: AbortSignal): Watchdog {
  const controller = new AbortController();
  let arrived = 0;
  let bitten = false;
  const timer = setInterval(() => {
    if (arrived >= stallBytes) arrived = 0;
    else {
      bitten = true;
      controller.abort();
    }
  }, stallMs);
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    hasBitten: () => bitten,
    feed: (bytes) => void (arrived += bytes),
    stop: () => clearInterval(timer),
  };
}
