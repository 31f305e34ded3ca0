import * as tf from '@tensorflow/tfjs';

/**
 * Clipped surrogate of PPO, to be minimised: `mean_t max(-A ratio, -A clip(ratio, 1 - c, 1 + c))`, `ratio = exp(new - old)`.
 *
 * @param newLogprobs [n] of the policy being updated, nats; the gradient flows here
 * @param options.oldLogprobs [n] of the policy that produced the rollouts
 * @param options.advantages [n] whitened
 *
 * Tensors: inputs are not disposed; call inside tf.tidy.
 * Source: Schulman et al. 2017, arXiv:1707.06347, equation 7.
 */
export function policyLoss(
  newLogprobs: tf.Tensor1D,
  { oldLogprobs, advantages, clipRange }: { oldLogprobs: tf.Tensor1D; advantages: tf.Tensor1D; clipRange: number },
): tf.Scalar {
  const ratio = newLogprobs.sub(oldLogprobs).exp();
  const clipped = ratio.clipByValue(1 - clipRange, 1 + clipRange);
  const loss = advantages.neg();
  return tf.maximum(loss.mul(ratio), loss.mul(clipped)).mean();
}

/**
 * Squared error of the value, clipped around the rollout's: `0.5 mean_t max((v - R)^2, (v_old + clip(v - v_old, ± c) - R)^2)`.
 *
 * @param newValues [n]; the gradient flows here
 * @param options.oldValues [n] values at the rollout
 * @param options.returns [n] targets, from unwhitened advantages
 * @param options.valueClipRange c; 0 = no clipping
 *
 * Tensors: inputs are not disposed; call inside tf.tidy.
 * Source: the PPO1/PPO2 code of OpenAI baselines; Huang et al. 2022, "The 37 implementation details of PPO", detail 9.
 */
export function valueLoss(
  newValues: tf.Tensor1D,
  { oldValues, returns, valueClipRange }: { oldValues: tf.Tensor1D; returns: tf.Tensor1D; valueClipRange: number },
): tf.Scalar {
  const error = newValues.sub(returns).square();
  if (valueClipRange === 0) return error.mean().mul(0.5);
  const clipped = oldValues.add(newValues.sub(oldValues).clipByValue(-valueClipRange, valueClipRange));
  return tf.maximum(error, clipped.sub(returns).square()).mean().mul(0.5);
}
