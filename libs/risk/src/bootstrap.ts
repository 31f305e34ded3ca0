import type { Interval } from './intervals';
import { quantile } from './moments';

/**
 * The statistic of `replicates` resamples of `units` things, drawn with replacement; undefined ones (NaN) are left out.
 *
 * @param statistic gets the indices drawn, [units] in 0 … units - 1
 * @param integer a whole number in 0 … below - 1
 */
export function bootstrap(
  units: number,
  statistic: (drawn: readonly number[]) => number,
  { replicates, integer }: { replicates: number; integer: (below: number) => number },
): number[] {
  const resample = () => statistic(Array.from({ length: units }, () => integer(units)));
  return Array.from({ length: replicates }, resample).filter((value) => !Number.isNaN(value));
}

/** The percentile interval of bootstrap replicates. */
export function percentileInterval(replicates: readonly number[], level = 0.95): Interval {
  return [quantile(replicates, (1 - level) / 2), quantile(replicates, (1 + level) / 2)];
}

/**
 * Whole numbers in 0 … below - 1 (below < 2^32) from a seed.
 *
 * Source: Chris Doty-Humphrey's sfc32 (PractRand), twelve rounds of warming up as its author does.
 */
export function seededIntegers(seed: number): (below: number) => number {
  let [a, b, c, counter] = [seed | 0, (seed / 2 ** 32) | 0, 0x9e3779b9 | 0, 1];
  const next = () => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  return (below) => Math.floor((next() / 2 ** 32) * below);
}
