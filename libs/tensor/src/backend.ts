import * as tf from '@tensorflow/tfjs';
import { setWasmPaths, type BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { Kernels } from './kernels';
import { plainKernels } from './plain-kernels';
import { openSimdHeap } from './simd-heap';
import { createSimdKernels } from './simd-kernels';

export type BackendName = 'auto' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';
export type KernelBuild = 'relaxed-simd' | 'simd' | 'plain';

/** Where tensors live and what computes on them. */
export interface Backend {
  readonly name: 'wasm' | 'cpu';
  /** `plain` is TensorFlow.js' own operations. A run records it: results of two builds differ in their last bits. */
  readonly kernelBuild: KernelBuild;
  /** Why this one, and why not the others; for the log. */
  readonly reason: string;
}

interface Opened {
  backend: Backend;
  kernels: Kernels;
}

let open: Opened | undefined;

/**
 * Opens the backend of this thread: the process's, or a worker's, each with a heap of its own.
 *
 * A second call may ask for another build or backend; tensors stay usable.
 *
 * @param name `auto` is wasm
 * @param options.kernelBuild insists on one; else the fastest that works, down to `plain`
 * @throws DomainError failed_precondition if the backend is not in this build, or the build that was asked for does not work
 */
export async function openBackend(
  name: BackendName = 'auto',
  { kernelBuild }: { kernelBuild?: KernelBuild } = {},
): Promise<Backend> {
  if (name === 'tensorflow' || name === 'webgpu')
    throw new DomainError(
      'failed_precondition',
      `backend ${name} is not available in this build yet: use wasm or auto`,
    );
  open = name === 'cpu' ? await openCpu(kernelBuild) : await openWasm(name, kernelBuild);
  return open.backend;
}

/** @throws DomainError failed_precondition before `openBackend` */
export function currentBackend(): Backend {
  return current().backend;
}

/** The kernels of the open backend. */
export function currentKernels(): Kernels {
  return current().kernels;
}

function current(): Opened {
  if (!open) throw new DomainError('failed_precondition', 'no backend is open: call openBackend first');
  return open;
}

async function openCpu(kernelBuild: KernelBuild | undefined): Promise<Opened> {
  if (kernelBuild && kernelBuild !== 'plain')
    throw new DomainError('failed_precondition', `backend cpu has no ${kernelBuild} kernels: use wasm`);
  await tf.setBackend('cpu');
  // Its first use would print an advertisement.
  (tf.backend() as unknown as { firstUse: boolean }).firstUse = false;
  const reason = 'cpu was asked for: the reference of tests, many times slower than wasm';
  return { backend: { name: 'cpu', kernelBuild: 'plain', reason }, kernels: plainKernels };
}

async function openWasm(name: 'auto' | 'wasm', kernelBuild: KernelBuild | undefined): Promise<Opened> {
  // The threaded build does not start under Node (tfjs#3830).
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist', '/'));
  if (!(await tf.setBackend('wasm')))
    throw new DomainError('failed_precondition', 'the wasm backend of TensorFlow.js does not start on this machine');
  const chosen =
    name === 'auto' ? 'auto: wasm needs nothing installed and is the only backend of this build' : 'wasm was asked for';
  if (kernelBuild === 'plain') return plainWasm(`${chosen}; plain operations were asked for`);
  try {
    const heap = openSimdHeap(tf.backend() as BackendWasm, kernelBuild);
    shareClones();
    const reason = `${chosen}; ${kernelBuild ? `${heap.build} kernels were asked for` : `${heap.build} kernels are the fastest that run here`}`;
    return { backend: { name: 'wasm', kernelBuild: heap.build, reason }, kernels: createSimdKernels(heap) };
  } catch (error) {
    const problem = (error as Error).message;
    if (kernelBuild)
      throw new DomainError('failed_precondition', `no ${kernelBuild} kernels: ${problem}`, { cause: error });
    return plainWasm(`${chosen}; plain operations, many times slower than our kernels, because ${problem}`);
  }
}

function plainWasm(reason: string): Opened {
  return { backend: { name: 'wasm', kernelBuild: 'plain', reason }, kernels: plainKernels };
}

/**
 * Lets clones share values. The wasm backend's own Identity copies them, and recording a gradient clones whatever it saves.
 */
function shareClones(): void {
  tf.unregisterKernel('Identity', 'wasm');
  tf.registerKernel({
    kernelName: 'Identity',
    backendName: 'wasm',
    kernelFunc: ({ inputs, backend }) => {
      const { dataId, shape, dtype } = inputs['x'] as tf.TensorInfo;
      (backend as BackendWasm).incRef(dataId);
      return { dataId, shape, dtype };
    },
  });
}
