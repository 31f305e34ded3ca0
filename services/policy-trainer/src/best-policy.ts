import { trainableParameters, type LanguageModel } from '@surefoot/language-model';
import type { StoredTensor } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { BestPolicy } from './checkpoint';
import { mean } from './mean';

/** Iterations over which the judge's scores are averaged: a single batch of rollouts says little. */
const window = 5;

/**
 * The best policy so far by the moving mean of the judge's scores, once five iterations have been judged.
 *
 * @param options.policy the policy that gave this iteration's rollouts, not yet updated
 * @param options.judgeTrajectory mean judge score of each iteration up to this one; empty without a judge
 * @returns `best`, or a copy of what is trained of the policy where it is better
 */
export async function nextBest(
  best: BestPolicy | undefined,
  { iteration, policy, judgeTrajectory }: { iteration: number; policy: LanguageModel; judgeTrajectory: number[] },
): Promise<BestPolicy | undefined> {
  if (judgeTrajectory.length < window) return best;
  const judge = mean(judgeTrajectory.slice(-window));
  if (best && judge <= best.judge) return best;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, variable] of trainableParameters(policy))
    tensors.set(name, { shape: [...variable.shape], data: new Float32Array(await variable.data()) });
  return { judge, iteration, tensors };
}

/** Gives a policy the weights of the best one. */
export function becomeBest(policy: LanguageModel, { tensors }: BestPolicy): void {
  for (const [name, variable] of trainableParameters(policy)) {
    const { data, shape } = tensors.get(name)!;
    tf.tidy(() => variable.assign(tf.tensor(data, shape)));
  }
}
