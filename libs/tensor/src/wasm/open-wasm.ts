import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths, type BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { DomainError } from '@surefoot/errors';
import type { BackendOptions, KernelBuild, Opened } from '../opened';
import type { Kernels } from '../kernels';
import { plainKernels } from '../plain-kernels';
import { systemMemoryFor } from '../system-memory';
import { maxHeapBytes, openSimdHeap } from './simd-heap';
import { createSimdKernels } from './simd-kernels';

/**
 * TensorFlow.js in WebAssembly, with our SIMD kernels on its heap.
 *
 * @throws DomainError failed_precondition if the build that was asked for does not work here
 */
export async function openWasm({ kernelBuild, heaps }: BackendOptions): Promise<Opened> {
  if (kernelBuild === 'tuned')
    throw new DomainError('failed_precondition', 'backend wasm has no tuned kernels: use relaxed-simd or simd');
  // The threaded build does not start under Node (tfjs#3830).
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist', '/'));
  if (!(await tf.setBackend('wasm')))
    throw new DomainError('failed_precondition', 'the wasm backend of TensorFlow.js does not start on this machine');
  if (kernelBuild === 'plain') return opened('plain', plainKernels, 'plain operations were asked for', heaps);
  try {
    const heap = openSimdHeap(tf.backend() as BackendWasm, kernelBuild);
    shareClones();
    const why = kernelBuild ? 'kernels were asked for' : 'kernels are the fastest that run here';
    return opened(heap.build, createSimdKernels(heap), `${heap.build} ${why}`, heaps);
  } catch (error) {
    const problem = (error as Error).message;
    if (kernelBuild)
      throw new DomainError('failed_precondition', `no ${kernelBuild} kernels: ${problem}`, { cause: error });
    const reason = `plain operations, many times slower than our kernels, because ${problem}`;
    return opened('plain', plainKernels, reason, heaps);
  }
}

function opened(kernelBuild: KernelBuild, kernels: Kernels, reason: string, heaps?: number): Opened {
  const machine = { version: tf.version_core, device: 'CPU', isGpu: false, threads: 1 };
  // The heap never shrinks: what tensors have left in it is theirs.
  const wasm = (tf.backend() as BackendWasm).wasm as unknown as { HEAPU8: Uint8Array };
  return {
    backend: { name: 'wasm', kernelBuild, ...machine, reason },
    kernels,
    memoryBytes: () => Math.min(maxHeapBytes, systemMemoryFor(heaps, wasm.HEAPU8.byteLength)),
  };
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
