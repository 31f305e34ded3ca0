import { studentTwoSided } from './distributions';
import { mean, sumOfSquares } from './moments';

/** Pearson's correlation; NaN where a side does not vary by more than rounding. */
export function pearson(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  const squares = Math.sqrt(sumOfSquares(a) * sumOfSquares(b));
  if (squares === 0) return NaN;
  const products = a.reduce((sum, value, i) => sum + (value - meanA) * ((b[i] as number) - meanB), 0);
  return Math.max(-1, Math.min(1, products / squares));
}

/** Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  return pearson(ranks(a), ranks(b));
}

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const result = new Array<number>(values.length);
  for (let first = 0, end = 0; first < order.length; first = end) {
    while (end < order.length && values[order[end] as number] === values[order[first] as number]) end++;
    for (const i of order.slice(first, end)) result[i] = (first + 1 + end) / 2;
  }
  return result;
}

/** Two-sided p of a Pearson correlation r over n pairs, by `t = r sqrt((n - 2) / (1 - r^2))`; NaN for fewer than three. */
export function correlationP(r: number, n: number): number {
  if (n < 3) return NaN;
  return studentTwoSided(r * Math.sqrt((n - 2) / (1 - r * r)), n - 2);
}
