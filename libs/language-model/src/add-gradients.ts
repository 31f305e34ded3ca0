import * as tf from '@tensorflow/tfjs';

/**
 * Adds the gradients of one micro-batch to the sum of those before it.
 *
 * @param sums consumed; undefined before the first
 * @param more consumed, in the same order
 * @returns the caller disposes them
 */
export function addGradients(sums: tf.Tensor[] | undefined, more: tf.Tensor[]): tf.Tensor[] {
  if (!sums) return more;
  // One after the other, so that never more than two sets are held.
  return sums.map((sum, i) => {
    const added = tf.add(sum, more[i] as tf.Tensor);
    tf.dispose([sum, more[i] as tf.Tensor]);
    return added;
  });
}
