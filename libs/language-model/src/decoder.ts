import { DomainError } from '@surefoot/errors';
import {
  attention,
  embedding,
  gelu,
  linear,
  rotaryAngles,
  rotate,
  silu,
  type AttentionOptions,
  type RotaryAngles,
} from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from './config';
import type { BlockSlot } from './families';
import type { LanguageModel } from './model';
import { modulesOf, type Modules } from './modules';
import { familyOf, moduleName } from './parameters';
import { rotaryFrequencies } from './rotary-frequencies';
import { lastTokenRows, type TokenBatch } from './token-batch';

/** Packed query, key and value of new tokens of one layer [N, (heads + 2 keyHeads) W] to their attended values [N, heads W]. */
export type Attend = (packed: tf.Tensor2D, layer: number, options: AttentionOptions) => tf.Tensor2D;

/** What the blocks of one pass share. */
export interface Pass {
  model: LanguageModel;
  /** How tokens see one another: over a whole batch, or over a cache. */
  attend: Attend;
  /** Of the positions of the N tokens; undefined where positions are learned. */
  angles?: RotaryAngles;
  /** [R] those of the N rows that are asked for; default all. */
  rows?: Int32Array;
}

/**
 * The decoder: `x = embed(ids)`, each block `x += attention(norm(x))`, `x += feedForward(norm(x))`, then a final norm.
 *
 * @param ids       [N]
 * @param positions [N] place of each token in its sequence
 * @returns hidden states: the embedding, then after each block; the last [R, H] after the final norm. Differentiable.
 */
export function layerStates(
  model: LanguageModel,
  ids: Int32Array,
  positions: Int32Array,
  attend: Attend,
  rows?: Int32Array,
): tf.Tensor2D[] {
  const pass = beginPass(model, positions, attend, rows);
  const states = [embed(model, ids, positions)];
  for (let layer = 0; layer < model.config.layers; layer++)
    states.push(tf.tidy(() => runBlock(pass, layer, states[layer]!)));
  states[states.length - 1] = finalNorm(model, states.at(-1)!);
  tf.dispose([pass.angles?.cosines, pass.angles?.sines]);
  return states;
}

/** What a pass needs at every block; the caller disposes its angles. */
export function beginPass(model: LanguageModel, positions: Int32Array, attend: Attend, rows?: Int32Array): Pass {
  const { rotary, headWidth } = model.config;
  const angles = rotary && rotaryAngles(positions, rotaryFrequencies(rotary, headWidth));
  return { model, attend, ...(angles && { angles }), ...(rows && { rows }) };
}

/** Token ids and their positions to the first hidden state, [N, H]. */
export function embed(model: LanguageModel, ids: Int32Array, positions: Int32Array): tf.Tensor2D {
  const { prefix, tokenEmbedding, positionEmbedding, scalesEmbedding } = familyOf(model.config);
  const learned = positionEmbedding === undefined ? undefined : { name: prefix + positionEmbedding, ids: positions };
  const x = modulesOf(model).embedding(prefix + tokenEmbedding, ids, learned);
  return scalesEmbedding ? tf.mul(x, Math.sqrt(model.config.hiddenSize)) : x;
}

/** One block, [N, H] to [N, H]; the last to [R, H]. */
export function runBlock({ model, attend, angles, rows }: Pass, layer: number, input: tf.Tensor2D): tf.Tensor2D {
  const { config } = model;
  const modules = modulesOf(model);
  const at = (slot: BlockSlot) => moduleName(config, layer, slot);
  const packed = attentionInput(modules, at, modules.norm(at('attentionNorm')!, input));
  const turned = angles ? rotate(packed, angles, { rotated: config.heads + config.keyHeads }) : packed;
  let [x, attended] = [input, attend(turned, layer, attentionOptions(config, layer))];
  // Past the last attention no row looks at another: what is not asked for need not be computed.
  if (rows && layer === config.layers - 1) [x, attended] = [embedding(x, rows), embedding(attended, rows)];
  x = added(modules, at('attentionOutput')!, at('attentionPostNorm'), attended, x);
  const inner = feedForwardInner(modules, at, modules.norm(at('feedForwardNorm')!, x), activations[config.activation]);
  return added(modules, at('down')!, at('feedForwardPostNorm'), inner, x);
}

/** The norm after the last block. */
export function finalNorm(model: LanguageModel, x: tf.Tensor2D): tf.Tensor2D {
  const { prefix, finalNorm: name } = familyOf(model.config);
  return modulesOf(model).norm(prefix + name, x);
}

const activations = { gelu, silu };

type NameOf = (slot: BlockSlot) => string | undefined;

function attentionInput(modules: Modules, at: NameOf, x: tf.Tensor2D): tf.Tensor2D {
  const packed = at('packed');
  if (packed !== undefined) return modules.linear(packed, x);
  return tf.concat2d(
    (['query', 'key', 'value'] as const).map((slot) => modules.linear(at(slot)!, x)),
    1,
  );
}

function feedForwardInner(
  modules: Modules,
  at: NameOf,
  x: tf.Tensor2D,
  activate: (x: tf.Tensor2D) => tf.Tensor2D,
): tf.Tensor2D {
  const [gate, up] = [at('gate'), at('up')!];
  if (gate === undefined) return activate(modules.linear(up, x));
  return tf.mul(activate(modules.linear(gate, x)), modules.linear(up, x));
}

/** A linear module's result, normed where the family does that, added to the hidden state. */
function added(modules: Modules, name: string, norm: string | undefined, y: tf.Tensor2D, x: tf.Tensor2D): tf.Tensor2D {
  if (norm === undefined) return modules.linear(name, y, x);
  return tf.add(x, modules.norm(norm, modules.linear(name, y)));
}

function attentionOptions(config: ModelConfig, layer: number): AttentionOptions {
  const { heads, keyHeads, attentionScale: scale, attentionSoftCap: softCap, windows } = config;
  return { heads, keyHeads, scale, softCap, window: windows[layer] };
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
  return layerStates(model, batch.ids, batchPositions(model, batch), attendWithin(batch), rows);
}

/**
 * The place of every token of a batch in its sequence, [B*T].
 *
 * @throws DomainError invalid_argument if a sequence is longer than the model's positions
 */
export function batchPositions({ config }: LanguageModel, { ids, width }: TokenBatch): Int32Array {
  if (width > config.maxPositions)
    throw new DomainError(
      'invalid_argument',
      `a sequence has ${width} tokens, the model has ${config.maxPositions} positions`,
    );
  return ids.map((_, index) => index % width);
}

/** Every token sees those before it in its own sequence. */
export function attendWithin({ batch }: TokenBatch): Attend {
  return (packed, _, options) => attention(packed, { batch, ...options });
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
  const { config } = model;
  if (config.head !== 'causal-lm')
    throw new DomainError('failed_precondition', 'a reward model has no language-model head: use a causal-lm model');
  const { prefix, tokenEmbedding } = familyOf(config);
  const cap = config.logitSoftCap;
  // Before the product, where nothing comes between: H numbers a row are divided and kept for the gradient, not V.
  const divided = temperature === 1 || cap !== undefined ? hidden : tf.mul<tf.Tensor2D>(hidden, 1 / temperature);
  const modules = modulesOf(model);
  const raw = config.tiedHead
    ? linear(divided, modules.table(prefix + tokenEmbedding), { transposeWeight: true })
    : modules.linear('lm_head', divided);
  if (cap === undefined) return raw;
  return tf.mul(tf.tanh(tf.mul(raw, 1 / cap)), cap / temperature);
}

/**
 * The reward of each sequence, read at its last token.
 *
 * @returns [B]; differentiable
 * @throws DomainError failed_precondition if the model has a language-model head; invalid_argument as `hiddenStates`
 */
export function rewardScores(model: LanguageModel, batch: TokenBatch): tf.Tensor1D {
  if (model.config.head !== 'reward')
    throw new DomainError('failed_precondition', 'the model has no reward head: use a reward model');
  return rewardsOf(model, hiddenStates(model, batch, lastTokenRows(batch)));
}

/** The reward head on hidden states after the final norm, [B, H] to [B]; differentiable. */
export function rewardsOf(model: LanguageModel, hidden: tf.Tensor2D): tf.Tensor1D {
  return tf.reshape(modulesOf(model).linear('score', hidden), [hidden.shape[0]]);
}
