import { DomainError } from '@surefoot/errors';
import { clipByGlobalNorm, createAdamW, randomStream, warmupThenDecay } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { EncodedPair } from './encode-pairs';

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

/** Mean loss of a batch of pairs, nats, and its gradients in the order of the parameters; the caller disposes these. */
export type BatchGradients = (batch: EncodedPair[]) => Promise<{ loss: number; gradients: tf.Tensor[] }>;

/** Called after each step. @param loss of the step, nats */
export type OnStep = (step: number, steps: number, loss: number) => void;

/**
 * Fits parameters to preference pairs, in place: AdamW over epochs of shuffled batches.
 *
 * @param seed  decides the order of the pairs (and the bootstrap draw)
 * @param begin called once the optimizer is there, for what depends on the memory that it leaves
 * @throws DomainError diverged where the loss or a gradient is not finite; whatever computing a batch throws
 */
export async function fitToPairs(
  parameters: tf.Variable[],
  pairs: EncodedPair[],
  options: { training: MemberTraining; seed: number; begin: () => BatchGradients; onStep?: OnStep },
): Promise<void> {
  const { training, seed, begin, onStep } = options;
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
    const gradientsOf = begin();
    for (const [step, batch] of batches.entries()) {
      const { loss, gradients: raw } = await gradientsOf(batch);
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
      onStep?.(step + 1, batches.length, loss);
    }
  } finally {
    optimiser.dispose();
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
