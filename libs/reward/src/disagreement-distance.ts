import { DomainError } from '@surefoot/errors';
import { quantile, spearman } from '@surefoot/risk';

/** How the range of members' scores grows with the distance of a text from others, such as those of the fitted pairs. */
export interface RangeByDistance {
  /** Rank correlation of distance and range; null where one of them does not vary. */
  spearman: number | null;
  /** Texts in groups of growing distance, about equally many in each; texts of equal distance are in one group. */
  groups: { from: number; to: number; texts: number; median: number; quartiles: [number, number] }[];
}

// A word, or a character of a script that writes words without spaces.
const words = /\p{Ideographic}|(?:(?!\p{Ideographic})[\p{L}\p{M}\p{N}])+/gu;

/**
 * How far each text is from the nearest of `reference`: 1 less the largest Jaccard similarity (words in both / words in either) of
 * their sets of words, without regard to case and punctuation. 0 for a text made of the words of one of them, 1 for a text that
 * has no word in common with any; a text without words is at 1.
 *
 * @param texts [N]
 * @returns [N] in [0, 1]
 * @throws DomainError invalid_argument where `reference` is empty
 */
export function nearestDistances(texts: readonly string[], reference: readonly string[]): number[] {
  if (reference.length === 0) throw new DomainError('invalid_argument', 'there is no text to measure distances from');
  const sizes: number[] = [];
  const holders = new Map<string, number[]>();
  // Prompts come with two responses and responses come back, so many sets are the same.
  const sets = new Map(reference.map((text) => wordsOf(text)).map((set) => [[...set].sort().join(' '), set]));
  for (const set of sets.values()) {
    for (const word of set) {
      const own = holders.get(word);
      if (own) own.push(sizes.length);
      else holders.set(word, [sizes.length]);
    }
    sizes.push(set.size);
  }
  const shared = new Uint32Array(sizes.length);
  return texts.map((text) => {
    const own = wordsOf(text);
    shared.fill(0);
    for (const word of own) for (const i of holders.get(word) ?? []) shared[i]! += 1;
    const nearest = sizes.reduce((best, size, i) => {
      const common = shared[i]!;
      return common === 0 ? best : Math.max(best, common / (own.size + size - common));
    }, 0);
    return 1 - nearest;
  });
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(words) ?? []);
}

/**
 * Ranges against distances.
 *
 * @param ranges [N], N >= 1
 * @param distances [N]
 * @param options.groups at most so many, default 6, and of ten texts each at least where there are as many
 */
export function rangeByDistance(
  ranges: readonly number[],
  distances: readonly number[],
  { groups: most = 6 }: { groups?: number } = {},
): RangeByDistance {
  const count = Math.max(1, Math.min(most, Math.floor(ranges.length / 10)));
  const ends = Array.from({ length: count }, (_, i) => quantile(distances, (i + 1) / count));
  const correlation = spearman(distances, ranges);
  return {
    spearman: Number.isFinite(correlation) ? correlation : null,
    groups: [...new Set(ends)].flatMap((to, i, all) => {
      const above = all[i - 1] ?? -Infinity;
      const inside = distances.map((distance, n) => [distance, ranges[n]!] as const);
      const group = inside.filter(([distance]) => distance > above && distance <= to);
      if (group.length === 0) return [];
      const own = group.map(([, range]) => range);
      return [
        {
          from: Math.min(...group.map(([distance]) => distance)),
          to: Math.max(...group.map(([distance]) => distance)),
          texts: group.length,
          median: quantile(own, 0.5),
          quartiles: [quantile(own, 0.25), quantile(own, 0.75)] as [number, number],
        },
      ];
    }),
  };
}
