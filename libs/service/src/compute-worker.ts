import { basename, join } from 'node:path';
import { parentPort, Worker } from 'node:worker_threads';
import { DomainError } from '@surefoot/errors';
import { connectPort, type Call, type Procedures } from './message-rpc';

/** A worker thread that computes, so that the event loop stays free for health checks and streams. */
export interface ComputeWorker<Remote extends Procedures> {
  call: Call<Remote>;
  /** Resolves with the reason when the thread ends by itself; its calls are then rejected as `unavailable`. */
  failed: Promise<Error>;
  /** Ends the thread at once. */
  close(): Promise<void>;
}

/**
 * Starts a worker thread whose file calls `exposeToParent`.
 *
 * @param file from `workerFile`
 * @param options.data what the thread finds as `workerData`
 * @param options.procedures functions of this thread that the worker may call
 */
export function createComputeWorker<Remote extends Procedures>(
  file: string,
  options: { data?: unknown; procedures?: Procedures } = {},
): ComputeWorker<Remote> {
  const worker = new Worker(file, { workerData: options.data, stdin: false });
  const { call, fail } = connectPort<Remote>(worker, options.procedures ?? {});
  let closing = false;
  const failed = new Promise<Error>((resolve) => {
    const stop = (reason: string, cause?: unknown) => {
      const error = new DomainError('unavailable', `${basename(file)} has stopped: ${reason}`, { cause });
      fail(error);
      if (!closing) resolve(error);
    };
    worker.on('error', (error) => stop(error instanceof Error ? error.message : String(error), error));
    worker.on('exit', (code) => stop(`exit status ${code}`));
  });
  return {
    call,
    failed,
    close: async () => {
      closing = true;
      await worker.terminate();
    },
  };
}

/**
 * Offers functions to the thread that started this one.
 *
 * @returns calls to the functions that the parent offers
 */
export function exposeToParent<Remote extends Procedures = Procedures>(procedures: Procedures): Call<Remote> {
  if (!parentPort) throw new Error('exposeToParent belongs into a worker thread');
  return connectPort<Remote>(parentPort, procedures).call;
}

/**
 * The compiled file of a worker thread beside the caller: threads run from `dist`, also when the caller runs from `src`.
 *
 * @param folder `__dirname` of the caller
 * @param name file name without extension
 */
export function workerFile(folder: string, name: string): string {
  return join(folder.replace(/([\\/])src(?=$|[\\/](?!.*[\\/]src([\\/]|$)))/, '$1dist'), `${name}.js`);
}
