/** Arithmetic mean; NaN for no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** `sum (x - mean)^2`; 0 where no more is left than rounding leaves of equal values. */
export function sumOfSquares(values: readonly number[]): number {
  const centre = mean(values);
  const sum = values.reduce((total, value) => total + (value - centre) ** 2, 0);
  return isRounding(sum, values) ? 0 : sum;
}

/** True of a sum of squared distances that is no more than the rounding of these values. */
export function isRounding(squares: number, values: readonly number[]): boolean {
  return squares <= 1e-24 * values.reduce((total, value) => total + value * value, 0);
}

/** Unbiased variance `sum (x - mean)^2 / (n - 1)`, 0 for equal values whatever their rounding; NaN for fewer than two values. */
export function variance(values: readonly number[]): number {
  return values.length < 2 ? NaN : sumOfSquares(values) / (values.length - 1);
}

/** Square root of the unbiased variance; NaN for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  return Math.sqrt(variance(values));
}

/**
 * Quantile, linear between order statistics (type 7, the default of R and numpy); NaN for no values.
 *
 * @param level in [0, 1]; 0.5 is the median
 */
export function quantile(values: readonly number[], level: number): number {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * level;
  const below = Math.floor(position);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (position - below) * (high - low);
}

/** Mean of the worst `ceil(n / 10)` values (the conditional value at risk of the lowest tenth); NaN for no values. */
export function meanOfWorstTenth(values: readonly number[]): number {
  return mean(values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 10)));
}
