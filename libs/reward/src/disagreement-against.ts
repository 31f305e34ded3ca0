import { quantile, ranks } from '@surefoot/risk';

interface Ranges {
  texts: readonly { range: number }[];
}

/** Ranges on some texts against ranges on others. */
export interface RangesAgainst {
  /** Median range of the texts over that of the others; null where the latter is 0. */
  medianRatio: number | null;
  /** How often a text has a wider range than one of the others, ties counting half: .5 where they do not differ. */
  wider: number;
}

/**
 * Whether the members are farther apart on some texts than on others, say on responses to prompts of a new kind than on those they
 * were fitted to.
 *
 * Source of `wider`: Mann and Whitney 1947, U over the number of pairs of texts.
 */
export function rangesAgainst({ texts }: Ranges, others: Ranges): RangesAgainst {
  const [own, other] = [texts, others.texts].map((each) => each.map(({ range }) => range)) as [number[], number[]];
  const sum = ranks([...own, ...other])
    .slice(0, own.length)
    .reduce((total, rank) => total + rank, 0);
  const reference = quantile(other, 0.5);
  return {
    medianRatio: reference > 0 ? quantile(own, 0.5) / reference : null,
    wider: (sum - (own.length * (own.length + 1)) / 2) / (own.length * other.length),
  };
}
