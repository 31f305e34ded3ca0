import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import type { BackendOptions, Opened } from './opened';
import { plainKernels } from './plain-kernels';
import { systemMemoryFor } from './system-memory';

/** The reference of the tests: TensorFlow.js in plain JavaScript. @throws DomainError failed_precondition for another kernel build */
export async function openCpu({ kernelBuild, heaps }: BackendOptions): Promise<Opened> {
  if (kernelBuild && kernelBuild !== 'plain')
    throw new DomainError('failed_precondition', `backend cpu has no ${kernelBuild} kernels: use wasm`);
  await tf.setBackend('cpu');
  // Its first use would print an advertisement.
  (tf.backend() as unknown as { firstUse: boolean }).firstUse = false;
  const reason = 'the reference of tests, many times slower than wasm';
  const machine = { version: tf.version_core, device: 'CPU', isGpu: false, threads: 1 };
  return {
    backend: { name: 'cpu', kernelBuild: 'plain', ...machine, reason },
    kernels: plainKernels,
    memoryBytes: () => systemMemoryFor(heaps),
  };
}
