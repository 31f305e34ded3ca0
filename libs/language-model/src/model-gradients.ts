import { valueAndGradients } from '@surefoot/tensor';
import type * as tf from '@tensorflow/tfjs';
import { hiddenStates } from './decoder';
import { trainableParameters, type LanguageModel } from './model';
import type { TokenBatch } from './token-batch';

/**
 * A loss of a model's hidden states and its gradients in all that is trained of the model.
 *
 * @param rows   [R] the rows of [B*T] whose hidden states the loss is of
 * @param loss   of the hidden states [R, H] after the final norm, and of the model's head
 * @returns the caller disposes `value` and `gradients`; these are in the order of `trainableParameters(model)`
 * @throws DomainError as `hiddenStates` and `valueAndGradients`
 */
export function modelGradients(
  model: LanguageModel,
  batch: TokenBatch,
  rows: Int32Array,
  loss: (hidden: tf.Tensor2D) => tf.Scalar,
): { value: tf.Scalar; gradients: tf.Tensor[] } {
  const parameters = [...trainableParameters(model).values()];
  return valueAndGradients(() => loss(hiddenStates(model, batch, rows)), parameters);
}
