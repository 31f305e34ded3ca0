// Ten reward models spread over two worker threads, each with a heap of its own.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { currentBackend } from '@surefoot/tensor';
import { memberCount } from '../sizes.mjs';

export async function twoWorkers({ size }) {
  const half = memberCount / 2;
  const { name, kernelBuild } = currentBackend();
  const workers = [0, half].map((from) => {
    const workerData = { size, from, to: from + half, name, kernelBuild };
    return new Worker(new URL('./scoring-worker.mjs', import.meta.url), { workerData });
  });
  const run = async () => {
    await Promise.all(
      workers.map((worker) => {
        const scored = once(worker, 'message');
        worker.postMessage('score');
        return scored;
      }),
    );
  };
  await run();
  return { run, dispose: () => Promise.all(workers.map((worker) => worker.terminate())) };
}
