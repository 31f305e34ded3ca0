import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DomainError } from '@surefoot/errors';
import type { ParquetReply } from './parquet-thread';

const heapMegabytes = 2048;

/**
 * The rows of a Parquet file, in order, as JSON would have them: 64-bit numbers as numbers where exact, else as digits; dates
 * and times as ISO text; bytes that are no UTF-8 as `Uint8Array`.
 *
 * It is decoded in a thread of its own, a row group in memory at a time, so that a file made to take memory or time without
 * end takes at most what the thread may.
 *
 * @param options.limitMs longest that the next rows may take; default 10 s and a second for each megabyte of the file
 * @throws DomainError invalid_argument naming the file and what is wrong with it
 */
export async function* readParquet(
  path: string,
  { limitMs }: { limitMs?: number } = {},
): AsyncGenerator<Record<string, unknown>> {
  const limit = limitMs ?? 10_000 + (await stat(path)).size / 1000;
  const worker = new Worker(threadFile(), {
    workerData: { path },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  try {
    for (;;) {
      const reply = await ask(worker, limit);
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

function ask(worker: Worker, limitMs: number): Promise<ParquetReply> {
  return new Promise<ParquetReply>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`decoding it takes longer than ${(limitMs / 1000).toFixed(1)} s`)),
      limitMs,
    );
    const onError = (error: Error & { code?: string }) => {
      const isFull = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      reject(isFull ? new Error(`decoding it takes more than ${heapMegabytes} MB of memory`) : error);
    };
    worker.once('error', onError);
    worker.once('message', (reply: ParquetReply) => {
      clearTimeout(timer);
      worker.off('error', onError);
      resolve(reply);
    });
    worker.postMessage('next');
  });
}

function refuse(path: string, reason: string, cause?: unknown): DomainError {
  const message = `${path} is a Parquet file that cannot be read: ${reason}`;
  return new DomainError('invalid_argument', message, { cause });
}

/** Threads run from `dist`, also when this module runs from `src`. */
function threadFile(): string {
  return join(__dirname.replace(/([\\/])src$/, '$1dist'), 'parquet-thread.js');
}
