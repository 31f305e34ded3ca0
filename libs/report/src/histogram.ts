import { counted, quantile, type Interval } from '@surefoot/risk';
import { extent, type NumberFormat } from './numbers';

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

/** Where an axis of values >= 0 may end, so that few that lie far beyond all others do not squeeze those together. */
export interface Reach {
  end: number;
  /** The value as drawn. */
  within: (value: number) => number;
  /** What a caption adds about those of the ranges `on` some texts that are drawn at the end; nothing where there are none. */
  beyond: (ranges: readonly number[], on?: string) => string;
}

export function reach(values: readonly number[], format: NumberFormat['fixed']): Reach {
  const [, largest] = extent(values);
  const most = quantile(values, 0.99);
  const end = largest > 1.5 * most && most > 0 ? 1.1 * most : largest;
  return {
    end,
    within: (value) => Math.min(value, end),
    beyond: (ranges, on) => {
      const far = ranges.filter((range) => range > end);
      if (far.length === 0) return '';
      const [lie, are] = far.length === 1 ? ['lies', 'is'] : ['lie', 'are'];
      return ` ${counted(far.length, 'range')}${on ? ` on ${on}` : ''} ${lie} beyond, up to ${format(extent(far)[1])}, and ${are} drawn at the end.`;
    },
  };
}
