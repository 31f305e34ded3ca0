import * as tf from '@tensorflow/tfjs';

/**
 * Sum over pairs of `-log sigmoid(chosen - rejected - margin) + centring * (chosen + rejected)^2`, nats.
 *
 * @param scores  [2N] of the chosen responses, then of the rejected ones
 * @param margins [N]
 * @param centring weight of the term that fixes the scores' origin, >= 0
 * @returns a sum, so that micro-batches of one batch add up; differentiable in `scores`
 */
export function preferenceLoss(scores: tf.Tensor1D, margins: Float32Array, centring: number): tf.Scalar {
  return tf.tidy(() => {
    const pairs = margins.length;
    const chosen = scores.slice(0, pairs);
    const rejected = scores.slice(pairs, pairs);
    // softplus(-x) = -log sigmoid(x); the gradient of tf.logSigmoid reads a tensor that is disposed by then.
    const preference = tf.sum(tf.softplus(rejected.sub(chosen).add(tf.tensor1d(margins))));
    return preference.add(tf.sum(tf.square(chosen.add(rejected))).mul(centring)) as tf.Scalar;
  });
}
