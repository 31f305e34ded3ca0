import * as tf from '@tensorflow/tfjs';

/**
 * Adds the gradients of one micro-batch to the sum of those before it.
 *
 * @param sums consumed; undefined before the first
 * @param more consumed, in the same order
 * @returns the caller disposes them; where this fails, all are disposed
 */
export function addGradients(sums: tf.Tensor[] | undefined, more: tf.Tensor[]): tf.Tensor[] {
  if (!sums) return more;
  // One after the other, so that never more than two sets are held.
  const added: tf.Tensor[] = [];
  try {
    for (const [i, sum] of sums.entries()) {
      added.push(tf.add(sum, more[i] as tf.Tensor));
      tf.dispose([sum, more[i] as tf.Tensor]);
    }
    return added;
  } catch (error) {
    tf.dispose([...added, ...sums, ...more]);
    throw error;
  }
}
