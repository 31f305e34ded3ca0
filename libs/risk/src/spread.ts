import { correlationP, pearson } from './correlation';
import { fSurvival } from './distributions';
import { isRounding, mean, quantile, sumOfSquares, variance } from './moments';

/** `var(a) / var(b)`, above 1 where b is the steadier; 0 where a does not vary, NaN or infinite where b does not. */
export function varianceRatio(a: readonly number[], b: readonly number[]): number {
  return variance(a) / variance(b);
}

/**
 * Brown–Forsythe's test that independent groups spread equally: one-way analysis of variance of the distances from each
 * group's median.
 *
 * @returns F and its p; NaN where nothing is left to compare (no distances, none that differ within a group, or a group without values)
 *
 * Source: Brown and Forsythe 1974, doi:10.1080/01621459.1974.10482955.
 */
export function brownForsythe(...groups: (readonly number[])[]): { F: number; p: number } {
  const distances = groups.map((group) => {
    const median = quantile(group, 0.5);
    return group.map((value) => Math.abs(value - median));
  });
  const grandMean = mean(distances.flat());
  const [d1, d2] = [groups.length - 1, distances.flat().length - groups.length];
  const between = distances.reduce((sum, group) => sum + group.length * (mean(group) - grandMean) ** 2, 0);
  const within = distances.reduce((sum, group) => sum + sumOfSquares(group), 0);
  // Of two values each is as far from their median: what rounding leaves within such groups is no spread.
  const F = isRounding(within, distances.flat()) ? NaN : between / d1 / (within / d2);
  return { F, p: fSurvival(F, d1, d2) };
}

/**
 * Pitman–Morgan's two-sided p that paired values vary equally: the correlation of sums with differences is then zero.
 *
 * @returns NaN for fewer than three pairs or where a side, the sums or the differences do not vary
 *
 * Source: Pitman 1939, Morgan 1939, Biometrika 31.
 */
export function pitmanMorgan(a: readonly number[], b: readonly number[]): number {
  if (sumOfSquares(a) === 0 || sumOfSquares(b) === 0) return NaN;
  const sums = a.map((value, i) => value + (b[i] as number));
  const differences = a.map((value, i) => value - (b[i] as number));
  return correlationP(pearson(sums, differences), a.length);
}
