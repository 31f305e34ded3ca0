import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { Kernels } from './kernels';
import { plainKernels } from './plain-kernels';

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

let open: { backend: Backend; kernels: Kernels } | undefined;

export async function openBackend(
  name: BackendName = 'auto',
  options: { kernelBuild?: KernelBuild } = {},
): Promise<Backend> {
  if (name === 'tensorflow' || name === 'webgpu')
    throw new DomainError(
      'failed_precondition',
      `backend ${name} is not available in this build yet; use wasm or auto`,
    );
  void options;
  const chosen = name === 'auto' ? 'wasm' : name;
  if (chosen === 'wasm') {
    setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist', '/'));
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  }
  await tf.setBackend(chosen);
  open = { backend: { name: chosen, kernelBuild: 'plain', reason: 'plain operations' }, kernels: plainKernels };
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

function current() {
  if (!open) throw new DomainError('failed_precondition', 'no backend is open: call openBackend first');
  return open;
}
