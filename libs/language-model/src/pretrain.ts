import { DomainError } from '@surefoot/errors';
import { createAdamW, randomStream, warmupThenDecay } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { addGradients } from './add-gradients';
import type { BatchShape } from './memory-estimate';
import { assertTrainable, microBatches, trainingPlan } from './memory-room';
import { trainableParameters, type LanguageModel } from './model';
import { modelGradients } from './model-gradients';
import { packSequences, responseRows } from './token-batch';
import { tokenLogProbabilities } from './token-log-probabilities';

export interface TrainNextTokenOptions {
  /** Optimizer calls. */
  steps: number;
  /** Sequences a step; at most all there are. */
  batchSize: number;
  /** Peak of the schedule, per step. */
  learningRate: number;
  /** Steps of linear warm-up; at most all there are. */
  warmupSteps: number;
  /** Share of the peak at the last step, [0, 1]. */
  finalFraction: number;
  /** Decoupled, on all parameters. */
  weightDecay: number;
  /** Of the order of the sequences. */
  seed: number | bigint;
  /** Called after each step with its number from 0 and the mean negative log-probability of a token, nats. */
  onStep?: (step: number, loss: number) => void;
}

/**
 * Next-token training with AdamW: the loss is the mean of -log p over all tokens of a batch but the first of each sequence.
 *
 * A batch that does not fit in memory is cut into micro-batches, which changes only rounding.
 *
 * Sequences come in shuffled epochs; the last, incomplete batch of an epoch is left out.
 *
 * @param model its parameters are updated
 * @param sequences token ids, each of at least 2 and at most the model's positions
 * @returns the loss of the last step
 * @throws DomainError invalid_argument for a sequence or option out of range; diverged on a loss that is not finite;
 *   resource_exhausted, before anything is computed, if the optimizer and the longest sequence do not fit in memory
 */
export async function trainNextToken(
  model: LanguageModel,
  sequences: Int32Array[],
  options: TrainNextTokenOptions,
): Promise<{ finalLoss: number }> {
  const { steps, batchSize, learningRate: peak, warmupSteps, finalFraction, weightDecay, seed, onStep } = options;
  checkTraining(sequences, options);
  const schedule = { steps, warmupSteps: Math.min(warmupSteps, steps), peak, finalFraction };
  const parameters = [...trainableParameters(model).values()];
  const longest = sequences.reduce((most, { length }) => Math.max(most, length), 0);
  assertTrainable(model.config, shapeOf([{ length: longest }]), trainingPlan(model));
  const optimizer = createAdamW(parameters, { weightDecay });
  const batches = shuffledBatches(sequences, Math.min(batchSize, sequences.length), seed);
  let finalLoss = NaN;
  try {
    for (let step = 0; step < steps; step++) {
      const batch = batches.next().value!;
      const { loss, gradients } = await batchGradients(model, batch);
      try {
        optimizer.step(gradients, warmupThenDecay(step, schedule));
      } finally {
        tf.dispose(gradients);
      }
      finalLoss = loss;
      if (!Number.isFinite(finalLoss))
        throw new DomainError('diverged', `the loss of step ${step} is ${finalLoss}: lower the learning rate`);
      onStep?.(step, finalLoss);
    }
  } finally {
    optimizer.dispose();
  }
  return { finalLoss };
}

/** Mean loss over the tokens of a batch and its gradients, summed over micro-batches that fit in memory. */
export async function batchGradients(model: LanguageModel, sequences: Int32Array[]) {
  const parts = microBatches(model.config, sequences, shapeOf, 'training', trainingPlan(model));
  const tokens = shapeOf(sequences).outputs;
  let loss = 0;
  let gradients: tf.Tensor[] | undefined;
  let value: tf.Scalar | undefined;
  try {
    for (const part of parts) {
      const share = shapeOf(part).outputs / tokens;
      const batch = packSequences(part);
      const { rows, targets } = responseRows(batch, new Int32Array(batch.batch).fill(1));
      const partial = modelGradients(model, batch, rows, (hidden) => {
        const options = { temperature: 1, withEntropy: false };
        const { logProbability } = tokenLogProbabilities(model, hidden, targets, options);
        const mean: tf.Scalar = tf.neg(tf.mean(logProbability));
        return parts.length === 1 ? mean : tf.mul(mean, share);
      });
      value = partial.value;
      gradients = addGradients(gradients, partial.gradients);
      loss += (await value.data())[0]!;
      value.dispose();
    }
    return { loss, gradients: gradients! };
  } catch (error) {
    tf.dispose([value, gradients]);
    throw error;
  }
}

function shapeOf(sequences: { length: number }[]): BatchShape {
  return {
    sequences: sequences.length,
    width: sequences.reduce((longest, { length }) => Math.max(longest, length), 0),
    outputs: sequences.reduce((sum, { length }) => sum + length - 1, 0),
  };
}

function* shuffledBatches(
  sequences: Int32Array[],
  size: number,
  seed: number | bigint,
): Generator<Int32Array[], never> {
  for (let epoch = 0; ; epoch++) {
    const order = randomStream(seed, 'next-token', epoch).shuffle([...sequences]);
    for (let first = 0; first + size <= order.length; first += size) yield order.slice(first, first + size);
  }
}

function checkTraining(sequences: Int32Array[], { steps, batchSize }: TrainNextTokenOptions): void {
  const short = sequences.findIndex((sequence) => sequence.length < 2);
  if (sequences.length === 0 || short >= 0)
    throw new DomainError(
      'invalid_argument',
      short < 0 ? 'there is no text to train on' : `sequence ${short} has fewer than 2 tokens: nothing to predict`,
    );
  for (const [name, value] of Object.entries({ steps, batchSize }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new DomainError('invalid_argument', `${name} is ${value}, needs a whole number of at least 1`);
}
