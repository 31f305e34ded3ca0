import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import {
  hiddenStates,
  microBatches,
  packSequences,
  responseRows,
  tokenLogProbabilities,
  trainingPlan,
} from '@surefoot/language-model';
import type { BatchShape, TokenBatch } from '@surefoot/language-model';
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

/** Rollouts of one optimizer step, in as few forward passes as fit in memory, packed once for all epochs. */
export interface Minibatch {
  /** Consecutive rollouts each. */
  parts: MicroBatch[];
  /** B */
  rollouts: number;
  /** Where its tokens stand among those of all rollouts: `from` inclusive, `to` exclusive. */
  from: number;
  to: number;
}

/** Rollouts of one forward pass. */
export interface MicroBatch {
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
 * batch are to come in random order of prompts. A minibatch that does not fit in memory is cut into micro-batches whose gradients
 * are summed; they too stay the same for all epochs.
 *
 * @param rollouts exactly `config.batchSize`
 * @throws DomainError invalid_argument for another number of rollouts, an empty prompt or response; diverged where a
 *   log-probability or value is not finite; resource_exhausted where not even one rollout's update fits in memory
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
    minibatches: packMinibatches(learner, rollouts, offsets),
    oldLogprobs: new Float32Array(n),
    refLogprobs: new Float32Array(n),
    values: new Float32Array(n),
    entropies: new Float32Array(n),
  };
  for (const part of prepared.minibatches.flatMap(({ parts }) => parts)) {
    const measured = await measure(learner, part);
    for (const name of ['oldLogprobs', 'refLogprobs', 'values', 'entropies'] as const)
      prepared[name].set(finite(measured[name], name), part.from);
  }
  return prepared;
}

async function measure({ policy, reference, valueNetwork, config }: Learner, part: MicroBatch) {
  const { temperature } = config;
  const { batch, rows, targets } = part;
  const measured = tf.tidy(() => {
    const now = tf.tidy(() => {
      const features = hiddenStates(policy, batch, rows);
      const tokens = tokenLogProbabilities(policy, features, targets, { temperature, withEntropy: true });
      return tf.concat([tokens.logProbability, values(valueNetwork, features), tokens.entropy!]);
    });
    // After the policy's logits are gone: two sets of them would be the most that an iteration holds.
    const options = { temperature, withEntropy: false };
    const frozen = tf.tidy(
      () => tokenLogProbabilities(reference, hiddenStates(reference, batch, rows), targets, options).logProbability,
    );
    return tf.concat([now, frozen]);
  });
  const data = await measured.data();
  measured.dispose();
  const piece = (index: number) => data.subarray(index * targets.length, (index + 1) * targets.length);
  return { oldLogprobs: piece(0), values: piece(1), entropies: piece(2), refLogprobs: piece(3) };
}

function packMinibatches({ policy, config }: Learner, rollouts: Rollout[], offsets: Int32Array): Minibatch[] {
  const { minibatchSize: size, entropyCoefficient } = config;
  return Array.from({ length: rollouts.length / size }, (_, index) => {
    const numbers = Array.from({ length: size }, (_, i) => index * size + i);
    const shapeOf = (some: number[]) => ({
      ...batchShape(some.map((b) => rollouts[b]!)),
      withEntropy: entropyCoefficient !== 0,
    });
    const groups = microBatches(policy.config, numbers, shapeOf, 'training', trainingPlan(policy));
    const parts = groups.map((group) => packPart(group, rollouts, offsets));
    return { parts, rollouts: size, from: parts[0]!.from, to: parts.at(-1)!.to };
  });
}

function packPart(numbers: number[], rollouts: Rollout[], offsets: Int32Array): MicroBatch {
  const some = numbers.map((b) => rollouts[b]!);
  const batch = packSequences(some.map(({ promptIds, responseIds }) => [...promptIds, ...responseIds]));
  const promptLengths = some.map(({ promptIds }) => promptIds.length);
  const { rows, targets } = responseRows(batch, promptLengths);
  return { batch, rows, targets, from: offsets[numbers[0]!]!, to: offsets[numbers.at(-1)! + 1]! };
}

function batchShape(rollouts: Rollout[]): BatchShape {
  return {
    sequences: rollouts.length,
    width: rollouts.reduce(
      (most, { promptIds, responseIds }) => Math.max(most, promptIds.length + responseIds.length),
      0,
    ),
    outputs: rollouts.reduce((sum, { responseIds }) => sum + responseIds.length, 0),
  };
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
