// The backends that take part, each in a process of its own: TensorFlow reads its threads from the environment when it is loaded.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

export const backendNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'];

/**
 * Starts a process for each backend that loads, and one of two threads for a TensorFlow that computes on the processor.
 *
 * @param asked names, or undefined for all that are worth measuring here
 * @param say   told of every backend that takes no part, and why
 */
export async function startBackends(asked, say) {
  const started = [];
  for (const name of asked ?? ['tensorflow', 'wasm', 'webgpu']) {
    const backend = await start(name, 1, say);
    if (!backend) continue;
    if (name === 'webgpu' && !asked && !backend.details.isGpu) {
      backend.close();
      say(`webgpu: left out, ${backend.details.device} is no GPU and many times slower: --backends webgpu measures it`);
      continue;
    }
    started.push(backend);
    if (name !== 'tensorflow' || backend.details.isGpu || availableParallelism() < 2) continue;
    const twoThreads = await start(name, 2, say);
    if (twoThreads) started.push(twoThreads);
  }
  if (started.length === 0) throw new Error('no backend loads: see the reasons above');
  return started;
}

async function start(name, threads, say) {
  const child = fork(join(import.meta.dirname, 'backend-process.mjs'), {
    stdio: ['ignore', 2, 2, 'ipc'],
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads), TF_NUM_INTEROP_THREADS: '1' },
  });
  const ended = new Promise((resolve) => child.once('exit', (status, signal) => resolve(signal ?? status)));
  /** One question at a time. */
  const ask = (question, input) =>
    new Promise((resolve, reject) => {
      const settle = ({ answer, error }) => (error === undefined ? resolve(answer) : reject(new Error(error)));
      child.once('message', settle);
      void ended.then((status) => reject(new Error(`its process ended with ${status}`)));
      child.send({ ask: question, ...input }, (error) => error && reject(error));
    });
  const close = () => child.connected && child.disconnect();
  try {
    const details = await ask('open', { backend: name, threads });
    const isReference = name === 'cpu' || (name === 'webgpu' && !details.isGpu);
    return { name: threads > 1 ? `${name}, ${threads} threads` : name, threads, details, isReference, ask, close };
  } catch (error) {
    close();
    say(`${name}: left out, ${error.message}`);
    return undefined;
  }
}
