/**
 * Groups items of similar length, so that little is padded: sorted by length (stable), then cut where a group padded to its
 * longest item would exceed the budget.
 *
 * @param lengths [N] of the items
 * @param budget  tokens of a padded group; an item longer than it is a group of its own
 * @returns groups of indices into `lengths`, shortest first; every index occurs once
 */
export function lengthBuckets(lengths: ArrayLike<number>, budget: number): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[a]! - lengths[b]!);
  const buckets: number[][] = [];
  for (const index of order) {
    const last = buckets.at(-1);
    // The sorted order makes the newcomer the longest of its group.
    if (last && (last.length + 1) * lengths[index]! <= budget) last.push(index);
    else buckets.push([index]);
  }
  return buckets;
}
