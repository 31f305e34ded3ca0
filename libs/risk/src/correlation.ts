import { studentTwoSided } from './distributions';
import { mean } from './moments';

/** Pearson's correlation; NaN where a side does not vary. */
export function pearson(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    const [da, db] = [value - meanA, (b[i] as number) - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  });
  return Math.max(-1, Math.min(1, ab / Math.sqrt(aa * bb)));
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
