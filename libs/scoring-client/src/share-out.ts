/** Somebody who may be given items. */
export interface Taker {
  /** Items that are with it already. */
  outstanding(): number;
  /** How many more it may get. */
  room(): number;
}

/**
 * Shares items out, in order, each to the taker with the fewest, as long as any has room.
 *
 * @returns `shares` by taker, and `rest`, the items that nobody has room for
 */
export function shareOut<Item, T extends Taker>(
  items: Item[],
  takers: T[],
): { shares: { taker: T; items: Item[] }[]; rest: Item[] } {
  const shares = takers.map((taker) => ({ taker, items: [] as Item[], load: taker.outstanding(), room: taker.room() }));
  let next = 0;
  for (; next < items.length; next += 1) {
    const open = shares.filter((share) => share.items.length < share.room);
    if (open.length === 0) break;
    const least = open.reduce((best, share) => (share.load < best.load ? share : best));
    least.items.push(items[next]!);
    least.load += 1;
  }
  return { shares: shares.filter((share) => share.items.length > 0), rest: items.slice(next) };
}
