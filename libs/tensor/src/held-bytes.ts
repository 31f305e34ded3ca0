import * as tf from '@tensorflow/tfjs';
import { uncountedMomentBytes } from './moments';

/** By data: how much more `tf.memory()` counts of it than it takes. */
const excess = new WeakMap<object, number>();
/** Of all that is there now. */
let totalExcess = 0;
const watched = new WeakSet<tf.KernelBackend>();

/** Bytes of memory that the tensors of this thread and the moments of its optimizers hold; pages of mapped files are none. */
export function heldBytes(): number {
  return tf.memory().numBytes + uncountedMomentBytes() - totalExcess;
}

/**
 * Has a tensor counted by the bytes that it takes and not by its shape, as long as its data are there.
 *
 * @param bytes of memory
 */
export function countHeldOtherwise(tensor: tf.Tensor, bytes: number): void {
  const backend = tf.backend();
  if (!watched.has(backend)) watch(backend);
  const more = 4 * tensor.size - bytes;
  excess.set(tensor.dataId, more);
  totalExcess += more;
}

function watch(backend: tf.KernelBackend): void {
  watched.add(backend);
  const disposeData = backend.disposeData.bind(backend);
  backend.disposeData = (dataId, force) => {
    const isGone = disposeData(dataId, force);
    if (isGone) totalExcess -= excess.get(dataId) ?? 0;
    if (isGone) excess.delete(dataId);
    return isGone;
  };
}
