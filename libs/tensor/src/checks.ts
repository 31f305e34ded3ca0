import type * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';

/** An argument that is wrong whatever the state. */
export function invalid(message: string): DomainError {
  return new DomainError('invalid_argument', message);
}

/**
 * Refuses a tensor of another shape; `undefined` in `shape` admits any length there.
 *
 * Kernels read and write by these numbers, so nothing reaches the heap before they are known to be right.
 */
export function checkShape(name: string, tensor: tf.Tensor, shape: (number | undefined)[]): void {
  if (tensor.isDisposed) throw invalid(`${name} is disposed`);
  const fits =
    tensor.rank === shape.length && shape.every((size, axis) => (size ?? tensor.shape[axis]) === tensor.shape[axis]);
  if (tensor.dtype === 'float32' && fits) return;
  const wanted = shape.map((size) => size ?? 'any').join(', ');
  throw invalid(`${name} is ${tensor.dtype} [${tensor.shape.join(', ')}], needs float32 [${wanted}]`);
}

/** Refuses ids outside 0..below-1 and returns a copy, which a backward pass may keep. */
export function checkIds(name: string, ids: Int32Array, length: number | undefined, below: number): Int32Array {
  if (!(ids instanceof Int32Array)) throw invalid(`${name} must be an Int32Array on the host`);
  if (length !== undefined && ids.length !== length) throw invalid(`${name} holds ${ids.length} ids, needs ${length}`);
  const copy = ids.slice();
  for (let i = 0; i < copy.length; i++) {
    const id = copy[i] as number;
    if (id < 0 || id >= below) throw invalid(`${name}[${i}] is ${id}, outside 0..${below - 1}`);
  }
  return copy;
}

/** Refuses what is no whole number of at least `least`. */
export function checkCount(name: string, value: number, least = 1): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw invalid(`${name} is ${value}, needs a whole number >= ${least}`);
}
