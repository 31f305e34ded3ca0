import { betaQuantile, chiSquareQuantile, normalQuantile, studentQuantile } from './distributions';
import { mean, standardDeviation } from './moments';

/** Lower and upper end. */
export type Interval = [low: number, high: number];

/** Student's t interval of the mean of normal values; NaN ends for fewer than two values. */
export function meanInterval(values: readonly number[], level = 0.95): Interval {
  const n = values.length;
  if (n < 2) return [NaN, NaN];
  const half = (studentQuantile((1 + level) / 2, n - 1) * standardDeviation(values)) / Math.sqrt(n);
  return [mean(values) - half, mean(values) + half];
}

/** Chi-square interval of the standard deviation of normal values; NaN ends for fewer than two values. */
export function standardDeviationInterval(values: readonly number[], level = 0.95): Interval {
  const df = values.length - 1;
  if (df < 1) return [NaN, NaN];
  const end = (p: number) => standardDeviation(values) * Math.sqrt(df / chiSquareQuantile(p, df));
  return [end((1 + level) / 2), end((1 - level) / 2)];
}

/**
 * Clopper–Pearson interval of a probability: never less than its level, whatever the probability.
 *
 * @param successes in [0, trials]
 * @returns NaN ends for no trials
 */
export function proportionInterval(successes: number, trials: number, level = 0.95): Interval {
  if (trials === 0) return [NaN, NaN];
  const tail = (1 - level) / 2;
  return [
    successes === 0 ? 0 : betaQuantile(tail, successes, trials - successes + 1),
    successes === trials ? 1 : betaQuantile(1 - tail, successes + 1, trials - successes),
  ];
}

/** Fisher's interval of a Pearson correlation, `tanh(atanh r ± z / sqrt(n - 3))`; NaN ends for fewer than four pairs. */
export function correlationInterval(r: number, n: number, level = 0.95): Interval {
  if (n < 4) return [NaN, NaN];
  const half = normalQuantile((1 + level) / 2) / Math.sqrt(n - 3);
  return [Math.tanh(Math.atanh(r) - half), Math.tanh(Math.atanh(r) + half)];
}
