import { assertTrainable, trainableParameters, trainingPlan, type LanguageModel } from '@surefoot/language-model';
import { createAdamW, type AdamW } from '@surefoot/tensor';
import type { PpoConfig } from './ppo-config';
import { createValueNetwork, disposeValueNetwork, type ValueNetwork } from './value-network';

/** Everything that PPO changes from one iteration to the next, and the models it stands on. */
export interface Learner {
  /** The policy being trained; its variables change in place. */
  readonly policy: LanguageModel;
  /** The frozen reference policy. */
  readonly reference: LanguageModel;
  readonly config: PpoConfig;
  readonly valueNetwork: ValueNetwork;
  readonly policyOptimizer: AdamW;
  readonly valueOptimizer: AdamW;
  /** Strength of the KL penalty in the next iteration. */
  beta: number;
  /** Optimizer steps skipped in a row, over iterations, for a loss or gradient that was not finite. */
  skippedInARow: number;
}

/**
 * A learner before its first iteration.
 *
 * @param config from resolvePpoConfig
 * @param seed of the value network's first layer
 * @throws DomainError resource_exhausted where moments and gradients do not fit in memory beside the models
 *
 * Tensors: the learner owns its value network and its optimizers' moments, not the two models; `disposeLearner`.
 */
export function createLearner(
  policy: LanguageModel,
  reference: LanguageModel,
  config: PpoConfig,
  seed: number | bigint,
): Learner {
  assertTrainable(policy.config, undefined, trainingPlan(policy));
  const adam = {
    beta1: config.adamBeta1,
    beta2: config.adamBeta2,
    epsilon: config.adamEpsilon,
    epsilonMode: config.adamEpsilonMode,
  };
  const valueNetwork = createValueNetwork(policy.config.hiddenSize, seed);
  return {
    policy,
    reference,
    config,
    valueNetwork,
    policyOptimizer: createAdamW([...trainableParameters(policy).values()], {
      ...adam,
      weightDecay: config.weightDecay,
    }),
    valueOptimizer: createAdamW([...valueNetwork.parameters.values()], adam),
    beta: config.beta,
    skippedInARow: 0,
  };
}

/** Frees what the learner owns: value network and moments, not the models. */
export function disposeLearner(learner: Learner): void {
  learner.policyOptimizer.dispose();
  learner.valueOptimizer.dispose();
  disposeValueNetwork(learner.valueNetwork);
}
