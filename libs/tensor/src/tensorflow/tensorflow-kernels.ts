import { composeKernels } from '../composed-kernels';
import type { Kernels } from '../kernels';
import { plainKernels } from '../plain-kernels';
import { tensorflowPrimitives } from './primitives';

/** The operations as native TensorFlow computes them fastest, with gradients of our own. */
export const tensorflowKernels: Kernels = {
  ...composeKernels(tensorflowPrimitives),
  adamw: plainKernels.adamw,
  sumOfSquares: plainKernels.sumOfSquares,
};
