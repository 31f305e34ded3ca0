import { Interrupted } from '../failure';

/**
 * Waits for long work, but not after Ctrl-C.
 *
 * @throws Interrupted after Ctrl-C; whatever the work throws
 */
export async function interruptible<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let interrupt = () => {};
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = () => reject(new Interrupted('interrupted: the same command goes on from what is finished'));
    signal.addEventListener('abort', interrupt);
    if (signal.aborted) interrupt();
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}
