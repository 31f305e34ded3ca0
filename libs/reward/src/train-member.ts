import {
  addGradients,
  assertTrainable,
  lastTokenRows,
  modelGradients,
  packSequences,
  rewardsOf,
  tokensThatFit,
  trainableParameters,
  trainingPlan,
  type LanguageModel,
} from '@surefoot/language-model';
import * as tf from '@tensorflow/tfjs';
import type { EncodedPair } from './encode-pairs';
import { fitToPairs, type MemberTraining, type OnStep } from './fit-to-pairs';
import { lengthBuckets } from './length-buckets';
import { preferenceLoss } from './preference-loss';

/**
 * Fits what is trained of one reward model to preference pairs, in place: AdamW on the Bradley–Terry loss, mean over the pairs
 * of a batch.
 *
 * @param seed decides the order of the pairs (and the bootstrap draw)
 * @throws DomainError diverged where the loss or a gradient is not finite; resource_exhausted, before anything is computed,
 *   where the optimizer and the longest pair do not fit in memory
 */
export async function trainMember(
  model: LanguageModel,
  pairs: EncodedPair[],
  training: MemberTraining,
  seed: number,
  onStep?: OnStep,
): Promise<void> {
  const longest = pairs.reduce((most, { chosen, rejected }) => Math.max(most, chosen.length, rejected.length), 1);
  // The halves of a pair meet in its loss.
  assertTrainable(model.config, { sequences: 2, width: longest, outputs: 2 }, trainingPlan(model));
  const begin = () => {
    const budget = { longest, limit: training.tokenBudget, together: 2, purpose: 'training' } as const;
    const tokenBudget = tokensThatFit(model.config, { ...budget, plan: trainingPlan(model) });
    const fitted = { ...training, tokenBudget };
    return (batch: EncodedPair[]) => batchGradients(model, batch, fitted);
  };
  const parameters = [...trainableParameters(model).values()];
  await fitToPairs(parameters, pairs, { training, seed, begin, onStep });
}

/** Mean loss of a batch and its gradients, summed over micro-batches of similar length. */
export async function batchGradients(
  model: LanguageModel,
  batch: EncodedPair[],
  { centring, tokenBudget }: Pick<MemberTraining, 'centring' | 'tokenBudget'>,
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
