import { DomainError } from '@surefoot/errors';
import {
  addGradients,
  assertTrainable,
  lastTokenRows,
  modelGradients,
  packSequences,
  rewardsOf,
  tokensThatFit,
  trainableParameters,
  type LanguageModel,
} from '@surefoot/language-model';
import { clipByGlobalNorm, createAdamW, randomStream, warmupThenDecay } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { EncodedPair } from './encode-pairs';
import { lengthBuckets } from './length-buckets';
import { preferenceLoss } from './preference-loss';

/** How a member is fitted. */
export interface MemberTraining {
  /** Passes over the pairs, >= 1. */
  epochs: number;
  /** Pairs of one step; the last step of an epoch takes what is left. */
  batchSize: number;
  /** Peak, per step. */
  learningRate: number;
  /** Steps of linear rise; then the rate falls linearly. */
  warmupSteps: number;
  /** Learning rate of the last step over the peak, 0..1. */
  finalFraction: number;
  /** Decoupled, >= 0. */
  weightDecay: number;
  /** Weight of `(chosen + rejected)^2`, >= 0. */
  centring: number;
  /** Gradients are clipped to this global norm; 0 = not at all. */
  maxGradNorm: number;
  /** Each member is fitted on its own draw of N pairs with replacement. */
  bootstrap: boolean;
  /** Padded tokens of one forward pass at most, fewer where memory is short: changes only rounding. */
  tokenBudget: number;
}

/**
 * Fits one reward model to preference pairs, in place: AdamW on the Bradley–Terry loss, mean over the pairs of a batch.
 *
 * @param seed decides the order of the pairs (and the bootstrap draw)
 * @param onStep called after each step with its mean loss, nats
 * @throws DomainError diverged where the loss or a gradient is not finite; resource_exhausted, before anything is computed,
 *   where the optimizer and the longest pair do not fit in memory
 */
export async function trainMember(
  model: LanguageModel,
  pairs: EncodedPair[],
  training: MemberTraining,
  seed: number,
  onStep: (step: number, steps: number, loss: number) => void = () => undefined,
): Promise<void> {
  const parameters = [...trainableParameters(model).values()];
  const longest = pairs.reduce((most, { chosen, rejected }) => Math.max(most, chosen.length, rejected.length), 1);
  // The halves of a pair meet in its loss.
  assertTrainable(model.config, { sequences: 2, width: longest, outputs: 2 });
  const optimiser = createAdamW(parameters, { weightDecay: training.weightDecay });
  const drawn = training.bootstrap ? bootstrapDraw(pairs, seed) : pairs;
  const batches = epochBatches(drawn, training, seed);
  const schedule = {
    steps: batches.length,
    warmupSteps: Math.min(training.warmupSteps, batches.length),
    peak: training.learningRate,
    finalFraction: training.finalFraction,
  };
  try {
    const budget = { longest, limit: training.tokenBudget, together: 2, purpose: 'training' } as const;
    const fitted = { ...training, tokenBudget: tokensThatFit(model.config, budget) };
    for (const [step, batch] of batches.entries()) {
      const { loss, gradients: raw } = await batchGradients(model, batch, fitted);
      let gradients = raw;
      let norm: number;
      try {
        ({ gradients, norm } = await clipByGlobalNorm(raw, training.maxGradNorm));
        if (Number.isFinite(loss) && Number.isFinite(norm)) optimiser.step(gradients, warmupThenDecay(step, schedule));
      } finally {
        tf.dispose(gradients);
      }
      if (!Number.isFinite(loss + norm))
        throw new DomainError('diverged', `step ${step + 1}: loss or gradient is not finite; lower the learning rate`);
      onStep(step + 1, batches.length, loss);
    }
  } finally {
    optimiser.dispose();
  }
}

/** Mean loss of a batch and its gradients, summed over micro-batches of similar length. */
export async function batchGradients(
  model: LanguageModel,
  batch: EncodedPair[],
  { centring, tokenBudget }: MemberTraining,
): Promise<{ loss: number; gradients: tf.Tensor[] }> {
  let loss = 0;
  let gradients: tf.Tensor[] | undefined;
  const lengths = batch.map(({ chosen, rejected }) => 2 * Math.max(chosen.length, rejected.length));
  let value: tf.Scalar | undefined;
  try {
    for (const bucket of lengthBuckets(lengths, tokenBudget)) {
      const pairs = bucket.map((i) => batch[i] as EncodedPair);
      const packed = packSequences([...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)]);
      const margins = Float32Array.from(pairs, ({ margin }) => margin);
      const part = modelGradients(model, packed, lastTokenRows(packed), (hidden) =>
        preferenceLoss(rewardsOf(model, hidden), margins, centring).div(batch.length),
      );
      value = part.value;
      gradients = addGradients(gradients, part.gradients);
      loss += (await value.data())[0] as number;
      value.dispose();
    }
    return { loss, gradients: gradients as tf.Tensor[] };
  } catch (error) {
    tf.dispose([value, gradients]);
    throw error;
  }
}

function epochBatches(pairs: EncodedPair[], { epochs, batchSize }: MemberTraining, seed: number): EncodedPair[][] {
  return Array.from({ length: epochs }, (_, epoch) => {
    const order = randomStream(seed, 'data order', epoch).shuffle([...pairs]);
    return Array.from({ length: Math.ceil(order.length / batchSize) }, (_, i) =>
      order.slice(i * batchSize, (i + 1) * batchSize),
    );
  }).flat();
}

function bootstrapDraw(pairs: EncodedPair[], seed: number): EncodedPair[] {
  const random = randomStream(seed, 'bootstrap');
  return pairs.map(() => pairs[random.integer(pairs.length)] as EncodedPair);
}
