import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import { hiddenStates, logits, packSequences, responseRows } from '@surefoot/language-model';
import type { LanguageModel, TokenBatch } from '@surefoot/language-model';
import { entropy, logProbability } from '@surefoot/tensor';
import type { Learner } from './learner';
import { values } from './value-network';

/** A prompt and the response that the policy sampled for it. */
export interface Rollout {
  /** [P], P >= 1 */
  promptIds: Int32Array;
  /** [T], T >= 1; cut at and including the end-of-sequence token. */
  responseIds: Int32Array;
  /** Whether the response ended by itself. */
  hasEos: boolean;
}

/** Rollouts of one optimizer step, packed once for all epochs. */
export interface Minibatch {
  batch: TokenBatch;
  /** [m] rows of the packed batch whose logits predict each response token. */
  rows: Int32Array;
  /** [m] the response tokens. */
  targets: Int32Array;
  /** Where its tokens stand among those of all rollouts: `from` inclusive, `to` exclusive. */
  from: number;
  to: number;
}

/**
 * Rollouts with all that is measured once, before the policy moves. Per-token arrays are [n]: the response tokens of all
 * rollouts one after the other, n in all, without padding, so that nothing can read any.
 */
export interface PreparedBatch {
  rollouts: Rollout[];
  /** [B+1] where each rollout's tokens begin. */
  offsets: Int32Array;
  minibatches: Minibatch[];
  /** [n] nats, of the policy that is about to be updated. */
  oldLogprobs: Float32Array;
  /** [n] nats, of the frozen reference. */
  refLogprobs: Float32Array;
  /** [n] */
  values: Float32Array;
  /** [n] nats, of the policy. */
  entropies: Float32Array;
}

/**
 * Measures rollouts before the update.
 *
 * Old log-probabilities come from the same forward pass on the same packed minibatches as the update's, never from sampling:
 * cached and full forward passes differ by rounding (in half precision by far more), and a ratio that does not start at 1
 * is a bias. Minibatches are consecutive rollouts and stay the same in every epoch for the same reason; the rollouts of a
 * batch are to come in random order of prompts.
 *
 * @param rollouts exactly `config.batchSize`
 * @throws DomainError invalid_argument for another number of rollouts, an empty prompt or response; diverged where a
 *   log-probability or value is not finite
 *
 * Tensors: none are kept.
 */
export async function prepareRollouts(learner: Learner, rollouts: Rollout[]): Promise<PreparedBatch> {
  checkRollouts(rollouts, learner.config.batchSize);
  const offsets = new Int32Array(rollouts.length + 1);
  rollouts.forEach(({ responseIds }, b) => (offsets[b + 1] = offsets[b]! + responseIds.length));
  const n = offsets[rollouts.length]!;
  const prepared: PreparedBatch = {
    rollouts,
    offsets,
    minibatches: packMinibatches(rollouts, offsets, learner.config.minibatchSize),
    oldLogprobs: new Float32Array(n),
    refLogprobs: new Float32Array(n),
    values: new Float32Array(n),
    entropies: new Float32Array(n),
  };
  for (const minibatch of prepared.minibatches) {
    const measured = await measure(learner, minibatch);
    for (const name of ['oldLogprobs', 'refLogprobs', 'values', 'entropies'] as const)
      prepared[name].set(finite(measured[name], name), minibatch.from);
  }
  return prepared;
}

/**
 * The policy at every response token: features [m, H] and logits [m, V] at the sampling temperature. The head runs on
 * response rows only. Tidy-friendly; differentiable in the model's parameters.
 */
export function responseForward(model: LanguageModel, { batch, rows }: Minibatch, temperature: number) {
  const features = hiddenStates(model, batch, rows);
  return { features, logits: logits(model, features, temperature) };
}

async function measure({ policy, reference, valueNetwork, config }: Learner, minibatch: Minibatch) {
  const { temperature } = config;
  const { targets } = minibatch;
  const measured = tf.tidy(() => {
    const now = responseForward(policy, minibatch, temperature);
    const frozen = responseForward(reference, minibatch, temperature);
    return tf.concat([
      logProbability(now.logits, targets),
      logProbability(frozen.logits, targets),
      values(valueNetwork, now.features),
      entropy(now.logits),
    ]);
  });
  const data = await measured.data();
  measured.dispose();
  const part = (index: number) => data.subarray(index * targets.length, (index + 1) * targets.length);
  return { oldLogprobs: part(0), refLogprobs: part(1), values: part(2), entropies: part(3) };
}

function packMinibatches(rollouts: Rollout[], offsets: Int32Array, size: number): Minibatch[] {
  return Array.from({ length: rollouts.length / size }, (_, index) => {
    const slice = rollouts.slice(index * size, (index + 1) * size);
    const batch = packSequences(slice.map(({ promptIds, responseIds }) => [...promptIds, ...responseIds]));
    const { rows, targets } = responseRows(
      batch,
      slice.map(({ promptIds }) => promptIds.length),
    );
    return { batch, rows, targets, from: offsets[index * size]!, to: offsets[(index + 1) * size]! };
  });
}

function checkRollouts(rollouts: Rollout[], batchSize: number): void {
  if (rollouts.length !== batchSize)
    throw new DomainError('invalid_argument', `${rollouts.length} rollouts given, batchSize is ${batchSize}`);
  rollouts.forEach(({ promptIds, responseIds }, index) => {
    if (promptIds.length === 0 || responseIds.length === 0)
      throw new DomainError(
        'invalid_argument',
        `rollout ${index}: prompt has ${promptIds.length} tokens, response ${responseIds.length}; each needs at least one`,
      );
  });
}

function finite(measured: ArrayLike<number>, name: string): ArrayLike<number> {
  const bad = Array.from(measured).findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new DomainError(
      'diverged',
      `${name} of the rollouts: response token ${bad} has the value ${measured[bad]}; the policy's weights are no longer usable`,
    );
  return measured;
}
