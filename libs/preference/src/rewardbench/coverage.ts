/** How accuracy rises when the least sure items are left undecided. */
export interface CoverageCurve {
  /** At twentieths of the items, fewer where there are fewer items. */
  points: {
    /** Share of the items that are decided. */
    coverage: number;
    items: number;
    /** Of those. */
    accuracy: number;
  }[];
  /** Mean of the accuracy over all coverages 1/N, 2/N, …, 1; abstaining at random gives the accuracy itself. */
  area: number;
}

const pointCount = 20;

/**
 * Accuracy against coverage: items are decided in the order of their doubt. Items of equal doubt are taken in no order: each
 * counts as their mean.
 *
 * @param isRight [N], N >= 1
 * @param doubt [N] the larger, the sooner an item is left undecided
 * Source: El-Yaniv & Wiener 2010, JMLR 11 (risk and coverage); Geifman et al. 2019, arXiv:1805.08206 (area).
 */
export function coverageCurve(isRight: readonly boolean[], doubt: readonly number[]): CoverageCurve {
  const order = isRight.map((_, i) => i).sort((a, b) => doubt[a]! - doubt[b]!);
  const accuracies: number[] = [];
  let right = 0;
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && doubt[order[end]!] === doubt[order[start]!]) end += 1;
    const share = order.slice(start, end).filter((i) => isRight[i]).length / (end - start);
    for (; start < end; start += 1) {
      right += share;
      accuracies.push(right / (start + 1));
    }
  }
  const total = accuracies.length;
  const counts = new Set(
    Array.from({ length: pointCount }, (_, i) => Math.ceil(((i + 1) * total) / pointCount - 1e-9)),
  );
  return {
    points: [...counts].map((items) => ({ coverage: items / total, items, accuracy: accuracies[items - 1]! })),
    area: accuracies.reduce((sum, accuracy) => sum + accuracy, 0) / total,
  };
}
