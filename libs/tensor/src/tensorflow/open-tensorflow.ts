import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import type { Backend, BackendOptions, Opened } from '../opened';
import { plainKernels } from '../plain-kernels';
import { systemMemoryFor } from '../system-memory';
import { setBfloat16Products } from './bfloat16';
import { bfloat16Problem } from './bfloat16-support';
import { graphicsCard, hasNvidiaDriver, whyNoGpu } from './graphics-card';
import { inspectTensorflow, libraryFiles } from './native-library';
import { restoreRemovedUtilities } from './node-shim';
import { tensorflowKernels } from './tensorflow-kernels';

/** tfjs-node's C++, as far as it is used here. */
interface Binding {
  TF_Version: string;
  isUsingGpuDevice(): boolean;
}

/** The addon that is loaded before it: sets a variable of the process unless it is set, and returns what holds. */
interface Settings {
  setDefault(name: string, value: string): string;
}

/** What of the machine TensorFlow has found; decided once, when it is loaded. */
type Machine = Pick<Backend, 'version' | 'device' | 'isGpu' | 'threads'> & { why: string; memoryBytes: () => number };

let loading: Promise<Machine> | undefined;

/**
 * Native TensorFlow under the JavaScript of tfjs-node.
 *
 * Threads are those of the whole process: the first call of any of its threads decides, and `TF_NUM_INTRAOP_THREADS` over it.
 *
 * @throws DomainError failed_precondition if it is not installed here or cannot be loaded, saying what to do
 */
export async function openTensorflow({
  kernelBuild = 'tuned',
  threads,
  bfloat16 = bfloat16OfMachine(),
}: BackendOptions): Promise<Opened> {
  if (kernelBuild !== 'tuned' && kernelBuild !== 'plain')
    throw new DomainError(
      'failed_precondition',
      `backend tensorflow has no ${kernelBuild} kernels: use tuned or plain`,
    );
  if (bfloat16 === 'native' && bfloat16Problem() !== undefined)
    throw new DomainError(
      'failed_precondition',
      `products in bfloat16 do not work here: ${bfloat16Problem()}; cast, the default, works everywhere`,
    );
  loading ??= load(threads ?? availableParallelism());
  // One that failed is tried again by the next call: it may have been installed meanwhile.
  const machine = await loading.catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  if (!(await tf.setBackend('tensorflow')))
    throw new DomainError('failed_precondition', 'native TensorFlow is loaded and does not start: see stderr');
  setBfloat16Products(bfloat16);
  const { version, device, isGpu, why, memoryBytes } = machine;
  const reason = `${kernelBuild} kernels on ${why}`;
  return {
    backend: {
      name: 'tensorflow',
      kernelBuild,
      ...{ version, device, isGpu, threads: machine.threads, reason },
      ...(bfloat16 === 'native' && { bfloat16 }),
    },
    kernels: kernelBuild === 'tuned' ? tensorflowKernels : plainKernels,
    memoryBytes,
  };
}

/** What the environment says of products with BF16 weights. @throws DomainError invalid_argument for a word that is none */
function bfloat16OfMachine(): 'cast' | 'native' {
  // eslint-disable-next-line no-restricted-properties -- what a processor can multiply is a property of the machine
  const word = process.env['SUREFOOT_BF16'] || 'cast';
  if (word !== 'cast' && word !== 'native')
    throw new DomainError('invalid_argument', `SUREFOOT_BF16 is ${JSON.stringify(word)}: cast or native`);
  return word;
}

async function load(threads: number): Promise<Machine> {
  const { folder, kind, problem, cure } = inspectTensorflow();
  if (problem) throw new DomainError('failed_precondition', `backend tensorflow: ${problem}; ${cure}`);
  // Global, so that TensorFlow's library finds this addon's log level before its own.
  const settings = open<Settings>(join(folder, libraryFiles.settings), constants.dlopen.RTLD_GLOBAL);
  const threadsOfProcess = Number(settings.setDefault('TF_NUM_INTRAOP_THREADS', String(threads)));
  settings.setDefault('TF_NUM_INTEROP_THREADS', String(threads));
  settings.setDefault('TF_CPP_MIN_LOG_LEVEL', '3');
  // Take GPU memory as it is needed: a trainer and an ensemble may share a GPU.
  settings.setDefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true');
  // Products in float32, not in the 19 bits of TF32.
  settings.setDefault('NVIDIA_TF32_OVERRIDE', '0');
  const binding = open<Binding>(join(folder, libraryFiles.binding));
  restoreRemovedUtilities();
  // Not by the package's index.js, which would look for a binding of its own.
  const { NodeJSKernelBackend } = await import('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js');
  await import('@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js');
  const backend = new NodeJSKernelBackend(binding as never, '@tensorflow/tfjs-node-gpu');
  tf.registerBackend('tensorflow', () => backend);
  return { version: binding.TF_Version, threads: threadsOfProcess, ...device(binding, kind) };
}

/** Where TensorFlow computes, and why there. */
function device(
  binding: Binding,
  kind: 'cpu' | 'gpu' | undefined,
): Pick<Machine, 'device' | 'isGpu' | 'why' | 'memoryBytes'> {
  // eslint-disable-next-line no-restricted-properties -- CUDA's own variable says which GPU is meant
  const visible = process.env['CUDA_VISIBLE_DEVICES'];
  if (binding.isUsingGpuDevice()) {
    const { name, freeBytes } = graphicsCard(visible);
    // Not asked again: TensorFlow keeps what it has once taken.
    const memoryBytes = () => freeBytes ?? systemMemoryFor();
    return { device: name, isGpu: true, why: 'a GPU through CUDA', memoryBytes };
  }
  const onCpu = { device: 'CPU', isGpu: false, memoryBytes: () => systemMemoryFor() };
  if (kind === 'gpu') return { ...onCpu, why: `the CPU: the CUDA build found no GPU: ${whyNoGpu(visible)}` };
  const hint = hasNvidiaDriver() ? '; there is a GPU, npm run install:tensorflow -- --gpu would use it' : '';
  return { ...onCpu, why: `the CPU, by TensorFlow's CPU build${hint}` };
}

function open<T>(path: string, visibility = 0): T {
  const loaded = { exports: {} as T };
  try {
    process.dlopen(loaded, path, constants.dlopen.RTLD_LAZY | visibility);
  } catch (cause) {
    const message = `native TensorFlow does not load: ${(cause as Error).message}; run npm run install:tensorflow -- --force, or use the wasm backend`;
    throw new DomainError('failed_precondition', message, { cause });
  }
  return loaded.exports;
}
