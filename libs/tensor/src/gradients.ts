import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { invalid } from './checks';

/**
 * A loss and its gradient in each parameter.
 *
 * @param loss       a scalar; its tensors are disposed
 * @param parameters in the order of the gradients
 * @returns the caller disposes `value` and `gradients`
 * @throws DomainError invalid_argument naming a parameter that the loss does not depend on
 */
export function valueAndGradients(
  loss: () => tf.Scalar,
  parameters: tf.Variable[],
): { value: tf.Scalar; gradients: tf.Tensor[] } {
  const { value, gradients } = pullback(loss, parameters);
  const unused = gradients.findIndex((gradient) => !gradient);
  if (unused < 0) return { value, gradients: gradients as tf.Tensor[] };
  tf.dispose([value, ...gradients.filter((gradient) => gradient !== undefined)]);
  throw invalid(`the loss does not depend on parameter ${unused}, ${parameters[unused]?.name}`);
}

/**
 * What a gradient in a function's result is in its inputs: one link of the chain rule.
 *
 * @param compute its tensors are disposed, but for the result
 * @param inputs  tensors that the function captures; at least one
 * @param dy      gradient in the result, of its shape; default ones
 * @returns the caller disposes `value` and `gradients`; undefined in inputs that the result does not depend on
 */
export function pullback<Result extends tf.Tensor>(
  compute: () => Result,
  inputs: tf.Tensor[],
  dy?: tf.Tensor,
): { value: Result; gradients: (tf.Tensor | undefined)[] } {
  const { value, grads } = recorded(() => tf.engine().gradients(compute, inputs, dy, true));
  return { value: value as Result, gradients: grads.map((gradient) => gradient ?? undefined) };
}

/**
 * Scales gradients so that the norm over all of them is at most `maxNorm`: `g * min(1, maxNorm / norm)`.
 *
 * @param gradients consumed: disposed or handed on
 * @param maxNorm   0 or Infinity leave them as they are
 * @returns `norm` before clipping, float64; where it is not finite the gradients are as they were: do not use them
 * @throws DomainError invalid_argument if maxNorm is negative or NaN
 *
 * Source: Pascanu et al. 2013, arXiv:1211.5063.
 */
export async function clipByGlobalNorm(
  gradients: tf.Tensor[],
  maxNorm: number,
): Promise<{ gradients: tf.Tensor[]; norm: number }> {
  if (!(maxNorm >= 0)) throw invalid(`clipByGlobalNorm: maxNorm is ${maxNorm}, needs a number >= 0`);
  const norm = Math.sqrt(await currentKernels().sumOfSquares(gradients));
  if (maxNorm === 0 || !(norm > maxNorm) || norm === Infinity) return { gradients, norm };
  const clipped = gradients.map((gradient) => tf.mul(gradient, maxNorm / norm));
  tf.dispose(gradients);
  return { gradients: clipped, norm };
}

/** Where recording or differentiating fails, what was saved for the gradient is freed: TensorFlow.js would keep it for ever. */
function recorded<Result>(differentiate: () => Result): Result {
  try {
    return differentiate();
  } catch (error) {
    const { state } = tf.engine();
    for (const { saved } of state.activeTape ?? []) tf.dispose(saved);
    state.activeTape = [];
    throw error;
  }
}
