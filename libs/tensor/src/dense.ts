import type * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkShape, invalid } from './checks';
import type { LinearOptions } from './kernels';

/**
 * `y = x W + bias + residual`, in one kernel.
 *
 * @param x      [M, I]
 * @param weight [I, O]; [O, I] with `transposeWeight`
 * @param options.bias     [O]
 * @param options.residual [M, O]
 * @returns [M, O]; differentiable in all tensors
 * @throws DomainError invalid_argument if the shapes do not fit together
 */
export function linear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions = {}): tf.Tensor2D {
  checkShape('linear: x', x, [undefined, undefined]);
  const [rows, inputs] = x.shape;
  checkShape('linear: weight', weight, options.transposeWeight ? [undefined, inputs] : [inputs, undefined]);
  const outputs = options.transposeWeight ? weight.shape[0] : weight.shape[1];
  if (options.bias) checkShape('linear: bias', options.bias, [outputs]);
  if (options.residual) checkShape('linear: residual', options.residual, [rows, outputs]);
  return currentKernels().linear(x, weight, options);
}

/**
 * Layer normalisation over the last axis: `y = (x - mean) / sqrt(variance + epsilon) * gain + bias`, population variance.
 *
 * @param x    [M, H]
 * @param gain [H]
 * @param bias [H]
 * @returns [M, H]; differentiable
 * @throws DomainError invalid_argument if the shapes do not fit together or epsilon is not positive
 *
 * Source: Ba et al. 2016, arXiv:1607.06450.
 */
export function layerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D, epsilon = 1e-5): tf.Tensor2D {
  checkShape('layerNorm: x', x, [undefined, undefined]);
  checkShape('layerNorm: gain', gain, [x.shape[1]]);
  checkShape('layerNorm: bias', bias, [x.shape[1]]);
  if (!(epsilon > 0 && epsilon < Infinity)) throw invalid(`layerNorm: epsilon is ${epsilon}, needs a number > 0`);
  return currentKernels().layerNorm(x, gain, bias, epsilon);
}

/**
 * Root-mean-square normalisation over the last axis: `y = x / sqrt(mean(x^2) + epsilon) * (gainOffset + gain)`.
 *
 * @param x    [M, H]
 * @param gain [H]
 * @param options.gainOffset default 0; 1 where gains are stored as what they differ from 1 by (Gemma)
 * @returns [M, H]; differentiable
 * @throws DomainError invalid_argument if the shapes do not fit together or epsilon is not positive
 *
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467.
 */
export function rmsNorm(
  x: tf.Tensor2D,
  gain: tf.Tensor1D,
  { epsilon, gainOffset = 0 }: { epsilon: number; gainOffset?: number },
): tf.Tensor2D {
  checkShape('rmsNorm: x', x, [undefined, undefined]);
  checkShape('rmsNorm: gain', gain, [x.shape[1]]);
  if (!(epsilon > 0 && epsilon < Infinity)) throw invalid(`rmsNorm: epsilon is ${epsilon}, needs a number > 0`);
  return currentKernels().rmsNorm(x, gain, epsilon, gainOffset);
}

/**
 * GELU in its tanh form: `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
 *
 * @param x [M, H]
 * @returns [M, H]; differentiable
 *
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415; the form GPT-2 was trained with.
 */
export function gelu(x: tf.Tensor2D): tf.Tensor2D {
  checkShape('gelu: x', x, [undefined, undefined]);
  return currentKernels().gelu(x);
}

/**
 * SiLU, also called swish: `x sigmoid(x)`.
 *
 * @param x [M, H]
 * @returns [M, H]; differentiable
 *
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
 */
export function silu(x: tf.Tensor2D): tf.Tensor2D {
  checkShape('silu: x', x, [undefined, undefined]);
  return currentKernels().silu(x);
}
