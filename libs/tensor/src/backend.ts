import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import { chooseBackend } from './choose-backend';
import type { Kernels } from './kernels';
import type { Backend, BackendName, BackendOptions } from './opened';

let open: { backend: Backend; kernels: Kernels } | undefined;

/**
 * Opens the backend of this thread: the process's, or a worker's, each with a heap of its own.
 *
 * A second call may ask for another build or backend; tensors stay usable. Where it fails, what was open stays open.
 *
 * @param name `auto` chooses by what the machine has and how large the model is (choose-backend.ts)
 * @throws DomainError failed_precondition if the backend or kernel build does not work here, saying why and what to do
 */
export async function openBackend(name: BackendName = 'auto', options: BackendOptions = {}): Promise<Backend> {
  try {
    const { backend, kernels, memoryBytes } = await chooseBackend(name, options);
    open = {
      kernels,
      backend: {
        ...backend,
        get memoryBytes() {
          return memoryBytes();
        },
      },
    };
  } catch (error) {
    // One that opened and was not what was asked for has become TensorFlow.js' current one.
    if (open) await tf.setBackend(open.backend.name);
    throw error;
  }
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
