import type { Interval } from '@surefoot/risk';
import { extent } from './numbers';

export interface Bin {
  low: number;
  high: number;
  count: number;
}

/** Counts in equal bins from the smallest to the largest value, or over the given ends; one bin where those are equal. */
export function histogram(values: readonly number[], [low, high]: Interval = extent(values)): Bin[] {
  const bins = low === high ? 1 : Math.min(30, Math.ceil(Math.sqrt(values.length)) + 5);
  const width = (high - low) / bins || 1;
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    const bin = Math.min(bins - 1, Math.floor((value - low) / width));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts.map((count, i) => ({ low: low + i * width, high: low + (i + 1) * width, count }));
}
