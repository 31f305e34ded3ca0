import { DomainError } from '@surefoot/errors';
import { attention, embedding, linear } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { architectures, type Weights } from './architecture';
import type { LanguageModel } from './model';
import { lastTokenRows, type TokenBatch } from './token-batch';

/** Packed query, key and value of new tokens [N, 3H] of one layer to their attended values [N, H]. */
export type Attend = (qkv: tf.Tensor2D, layer: number) => tf.Tensor2D;

/**
 * The decoder: `x = embed(ids)`, each block `x += attention(norm(x))`, `x += feedForward(norm(x))`, then a final norm.
 *
 * @param ids       [N]
 * @param positions [N] place of each token in its sequence
 * @param attend    how tokens see one another: over a whole batch, or over a cache
 * @param rows      [R] those of the N rows that are asked for; default all
 * @returns hidden states: the embedding, then after each block; the last [R, H] after the final norm. Differentiable.
 */
export function layerStates(
  { config, parameters }: LanguageModel,
  ids: Int32Array,
  positions: Int32Array,
  attend: Attend,
  rows?: Int32Array,
): tf.Tensor2D[] {
  const architecture = architectures[config.architecture];
  const trunk: Weights = (name) => parameters.get(name)!;
  const states = [architecture.embed(trunk, ids, positions)];
  for (let layer = 0; layer < config.layers; layer++) {
    const block: Weights = (name) => trunk(architecture.blockPrefix(layer) + name);
    const run = () => {
      let x = states[layer]!;
      let attended = attend(architecture.attentionInput(block, x, config), layer);
      // Past the last attention no row looks at another: what is not asked for need not be computed.
      if (rows && layer === config.layers - 1) [x, attended] = [embedding(x, rows), embedding(attended, rows)];
      return architecture.feedForward(block, architecture.attentionOutput(block, attended, x), config);
    };
    states.push(tf.tidy(run));
  }
  states[config.layers] = architecture.finalNorm(trunk, states[config.layers]!, config);
  return states;
}

/**
 * Hidden states after the final norm.
 *
 * @param rows [R] indices into [B*T]; default all: with it the last feed-forward layer and the norm run on those rows only
 * @returns [R, H], or [B*T, H] with padding rows that mean nothing; differentiable
 * @throws DomainError invalid_argument if a sequence is longer than the model's positions or an id is not in its vocabulary
 */
export function hiddenStates(model: LanguageModel, batch: TokenBatch, rows?: Int32Array): tf.Tensor2D {
  return batchStates(model, batch, rows).at(-1)!;
}

/** The hidden states of a batch at every layer, as `layerStates` lists them. */
export function batchStates(model: LanguageModel, batch: TokenBatch, rows?: Int32Array): tf.Tensor2D[] {
  const { heads, maxPositions } = model.config;
  if (batch.width > maxPositions)
    throw new DomainError(
      'invalid_argument',
      `a sequence has ${batch.width} tokens, the model has ${maxPositions} positions`,
    );
  const positions = batch.ids.map((_, index) => index % batch.width);
  return layerStates(model, batch.ids, positions, (qkv) => attention(qkv, { batch: batch.batch, heads }), rows);
}

/**
 * Next-token logits.
 *
 * @param hidden      [M, H] after the final norm
 * @param temperature divides the logits, > 0, default 1
 * @returns [M, V]; differentiable
 * @throws DomainError failed_precondition if the model has a reward head
 */
export function logits(model: LanguageModel, hidden: tf.Tensor2D, temperature = 1): tf.Tensor2D {
  const { config, parameters } = model;
  if (config.head !== 'causal-lm')
    throw new DomainError('failed_precondition', 'a reward model has no language-model head: use a causal-lm model');
  const name = config.tiedHead ? architectures[config.architecture].embeddingTable : 'lm_head.weight';
  // Before the product: H numbers a row are divided and kept for the gradient, not V.
  const divided = temperature === 1 ? hidden : tf.mul<tf.Tensor2D>(hidden, 1 / temperature);
  return linear(divided, parameters.get(name) as unknown as tf.Tensor2D, { transposeWeight: true });
}

/**
 * The reward of each sequence, read at its last token.
 *
 * @returns [B]; differentiable
 * @throws DomainError failed_precondition if the model has a language-model head; invalid_argument as `hiddenStates`
 */
export function rewardScores(model: LanguageModel, batch: TokenBatch): tf.Tensor1D {
  const head = model.parameters.get('score.weight');
  if (!head) throw new DomainError('failed_precondition', 'the model has no reward head: use a reward model');
  const last = hiddenStates(model, batch, lastTokenRows(batch));
  return tf.reshape(linear(last, head as unknown as tf.Tensor2D, { transposeWeight: true }), [batch.batch]);
}
