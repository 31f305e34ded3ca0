import type { PpoConfig } from './ppo-config';

/** Step sizes of an iteration. */
export interface LearningRates {
  policy: number;
  value: number;
}

/**
 * Both step sizes of an iteration: constant, or linear times `1 - (iteration - 1) / iterations`, the whole rate in the first
 * iteration and 0 after the last. They hang on the iteration alone, so that a resumed run goes on with the same bits.
 *
 * @param iteration from 1
 *
 * Source of the linear course: Huang et al. 2022, "The 37 implementation details of PPO", detail 4.
 */
export function learningRates(
  config: Pick<PpoConfig, 'learningRateSchedule' | 'learningRate' | 'valueLearningRate' | 'iterations'>,
  iteration: number,
): LearningRates {
  const { learningRateSchedule, learningRate, valueLearningRate, iterations } = config;
  const share = learningRateSchedule === 'linear' ? 1 - (iteration - 1) / iterations : 1;
  return { policy: share * learningRate, value: share * valueLearningRate };
}
