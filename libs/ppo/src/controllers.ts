import type { PpoConfig } from './ppo-config';

/** Gain of the exponential controller, and its bound on one iteration's relative error. */
const exponentialGain = 0.15;
/** Bound on one iteration's relative error of the classic controller. */
const classicErrorBound = 0.2;

/**
 * The penalty's strength for the next iteration, the same rule for every mode: it reads the plain KL.
 *
 * adaptive `beta * exp(0.15 * clip(kl/klTarget - 1, -1, 1))`; classic `beta * (1 + clip(kl/klTarget - 1, -0.2, 0.2) *
 * batchSize / klHorizon)`; both kept in [betaMin, betaMax]; fixed `beta`.
 *
 * @param kl mean plain sequence KL of this iteration's rollouts to the reference, nats
 *
 * Source of the classic rule: Ziegler et al. 2019, arXiv:1909.08593.
 */
export function nextBeta(
  config: Pick<PpoConfig, 'klControl' | 'klTarget' | 'klHorizon' | 'batchSize' | 'betaMin' | 'betaMax'>,
  beta: number,
  kl: number,
): number {
  const { klControl, klTarget, klHorizon, batchSize, betaMin, betaMax } = config;
  if (klControl === 'fixed') return beta;
  const error = kl / klTarget - 1;
  const factor =
    klControl === 'adaptive'
      ? Math.exp(exponentialGain * clamp(error, -1, 1))
      : 1 + (clamp(error, -classicErrorBound, classicErrorBound) * batchSize) / klHorizon;
  return clamp(beta * factor, betaMin, betaMax);
}

const clamp = (x: number, least: number, most: number) => Math.min(Math.max(x, least), most);
