import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DomainError } from '@surefoot/errors';
import type { ParquetReply } from './parquet-thread';

/** What decoding may take. */
interface Bounds {
  /** For the next rows. */
  limitMs: number;
  heapMegabytes: number;
}

/**
 * The rows of a Parquet file, in order, as JSON would have them: 64-bit numbers as numbers where exact, else as digits; dates
 * and times as ISO text; bytes that are no UTF-8 as `Uint8Array`.
 *
 * It is decoded in a thread of its own, a row group in memory at a time, so that a file made to take memory or time without
 * end takes at most what the thread may.
 *
 * @param bounds of the thread; default 2 GiB, and 10 s and a second for each megabyte of the file
 * @throws DomainError invalid_argument naming the file and what is wrong with it
 */
export async function* readParquet(
  path: string,
  { limitMs, heapMegabytes = 2048 }: Partial<Bounds> = {},
): AsyncGenerator<Record<string, unknown>> {
  const bounds = { heapMegabytes, limitMs: limitMs ?? 10_000 + (await stat(path)).size / 1000 };
  const worker = new Worker(threadFile(), {
    workerData: { path },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  try {
    for (;;) {
      const reply = await ask(worker, bounds);
      if ('problem' in reply) throw refuse(path, reply.problem);
      if (reply.rows.length === 0) return;
      yield* reply.rows;
    }
  } catch (error) {
    throw error instanceof DomainError ? error : refuse(path, (error as Error).message, error);
  } finally {
    await worker.terminate();
  }
}

async function ask(worker: Worker, { limitMs, heapMegabytes }: Bounds): Promise<ParquetReply> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), limitMs);
  try {
    worker.postMessage('next');
    // Also ends where the thread fails.
    const [reply] = (await once(worker, 'message', { signal: late.signal })) as [ParquetReply];
    return reply;
  } catch (error) {
    if (late.signal.aborted) throw new Error(`decoding it takes longer than ${(limitMs / 1000).toFixed(1)} s`);
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
    throw new Error(`decoding it takes more than ${heapMegabytes} MB of memory`);
  } finally {
    clearTimeout(timer);
  }
}

function refuse(path: string, reason: string, cause?: unknown): DomainError {
  const message = `${path} is a Parquet file that cannot be read: ${reason}`;
  return new DomainError('invalid_argument', message, { cause });
}

/** Threads run from `dist`, also when this module runs from `src`. */
function threadFile(): string {
  return join(__dirname.replace(/([\\/])src$/, '$1dist'), 'parquet-thread.js');
}
