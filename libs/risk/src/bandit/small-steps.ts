import { normalCdf } from '../distributions';
import { type Bandit, dot } from './bandit';

/** P(worse than the reference) of one step, for a step of any size; the first two numbers are never below the second two. */
export interface SmallStepRisk {
  /** Steps in any direction. */
  free: { vanilla: number; aware: number };
  /** Steps that keep the sum of probabilities. */
  plane: { vanilla: number; aware: number };
}

/**
 * How likely a step is to end below the reference, in closed form: the step `d` maximises `d' r` for an estimate
 * `r = means + N(0, variances)`, vanilla in the ball `|d|^2 <= eps`, variance-aware in the ellipsoid `sum s2_i d_i^2 <= eps`.
 * Neither depends on the size of the step, which is small enough that no probability meets 0.
 *
 * Source: after Banerjee & Gopalan 2024, arXiv:2410.23726, restricted to the simplex's plane here.
 */
export function smallStepRisk({ means, variances }: Omit<Bandit, 'reference'>): SmallStepRisk {
  const precisions = variances.map((variance) => 1 / variance);
  return {
    free: { vanilla: vanilla(means, variances), aware: aware(dot(precisions, square(means))) },
    plane: {
      vanilla: vanilla(withoutMean(means), variances),
      aware: aware(
        dot(precisions, square(means)) - dot(precisions, means) ** 2 / precisions.reduce((sum, each) => sum + each),
      ),
    },
  };
}

const vanilla = (direction: readonly number[], variances: readonly number[]) =>
  normalCdf(-dot(direction, direction) / Math.sqrt(dot(variances, square(direction))) || 0);
// Rounding may leave a square just below 0.
const aware = (squaredNorm: number) => normalCdf(-Math.sqrt(Math.max(0, squaredNorm)));
const square = (values: readonly number[]) => values.map((value) => value * value);

function withoutMean(values: readonly number[]): number[] {
  const centre = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - centre);
}

/**
 * What a fixed step `d` [n] is worth at least, with probability `1 - delta` over the estimate's error:
 * `d' estimate - sqrt(2 ln(1 / delta)) |d|_Sigma`.
 *
 * @param estimate [n] rewards as one member sees them
 */
export function stepLowerBound(
  step: readonly number[],
  estimate: readonly number[],
  variances: readonly number[],
  delta: number,
): number {
  return dot(step, estimate) - Math.sqrt(2 * Math.log(1 / delta) * dot(variances, square(step)));
}
