import { DomainError } from '@surefoot/errors';
import { whiten } from '@surefoot/tensor';
import { nextBeta } from './controllers';
import { everyToken } from './diagnostics';
import { gae } from './gae';
import { logRatios } from './kl';
import type { Learner } from './learner';
import { learningRates } from './learning-rates';
import { metrics, type PpoDiagnostics } from './metrics';
import { regularise, type NormalisedScores } from './regularisers';
import type { PreparedBatch } from './rollout';
import { optimizerStep, type StepReport } from './step';
import { tokenRewards } from './token-rewards';

/**
 * One PPO update of policy and value network from a prepared batch: epochs of clipped steps, then the next beta.
 *
 * @param scores [B] the rollouts' scores, in their order
 * @param options.iteration from 1; it decides the learning rates
 * @returns the iteration's metrics; names and formulas: README.md
 * @throws DomainError diverged where the first minibatch's ratio is not 1 (the batch was prepared by other weights), or
 *   after three non-finite steps in a row, over iterations; failed_precondition and invalid_argument as `regularise`
 *
 * Tensors: the learner's variables change in place, nothing else is kept. Weights never become non-finite.
 * Source: Schulman et al. 2017, arXiv:1707.06347.
 */
export async function ppoUpdate(
  learner: Learner,
  prepared: PreparedBatch,
  scores: NormalisedScores[],
  { iteration }: { iteration: number },
): Promise<PpoDiagnostics> {
  const { config, beta } = learner;
  const { rollouts, offsets, oldLogprobs, refLogprobs } = prepared;
  if (scores.length !== rollouts.length)
    throw new DomainError('invalid_argument', `${scores.length} scores given for ${rollouts.length} rollouts`);

  // Rewards: the regularised score on the last token, the KL penalty where klPlacement says.
  const rewards = rollouts.map(({ hasEos }, b) => regularise(scores[b]!, { hasEos, beta, config }));
  const klToReference = logRatios(oldLogprobs, refLogprobs);
  const paid = tokenRewards(klToReference, offsets, rewards, { beta, klPlacement: config.klPlacement });

  // Advantages, whitened over all tokens of the batch; the values' targets come from the unwhitened ones.
  const { advantages, returns } = gae(paid, prepared.values, offsets, config);
  const whitened = whiten(advantages, everyToken(advantages.length), { unbiased: false });
  const targets = { advantages: whitened, returns };

  // Epochs of minibatches, until the policy is too far from the one that produced the rollouts.
  const rates = learningRates(config, iteration);
  const steps: StepReport[] = [];
  const isStopped = () => steps.at(-1)?.outcome === 'stopped';
  for (let epoch = 0; epoch < config.epochs && !isStopped(); epoch++) {
    for (const minibatch of prepared.minibatches) {
      steps.push(await optimizerStep(learner, minibatch, { prepared, targets, rates, isFirst: steps.length === 0 }));
      if (isStopped()) break;
    }
  }

  const diagnostics = metrics({ prepared, scores, rewards, returns, klToReference, rates, steps, beta, config });
  learner.beta = nextBeta(config, beta, diagnostics['objective/kl']!);
  return diagnostics;
}
