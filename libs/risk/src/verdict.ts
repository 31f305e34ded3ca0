import type { Interval } from './intervals';

/** What may be said of b's steadiness against a's. */
export type Verdict = 'steadier' | 'less steady' | 'no difference shown' | 'too few runs to tell' | 'not comparable';

/** Pairs of completed runs below which nothing is claimed about a variance. */
export const fewestPairs = 30;

/** True where the larger of two mean final KLs is at most 15 % above the smaller; false where one is missing. */
export function isKlMatched(klA: number | null, klB: number | null): boolean {
  return klA !== null && klB !== null && Math.max(klA, klB) <= 1.15 * Math.min(klA, klB);
}

/**
 * The verdict on b against a: first whether they are one kind of method, then whether there are enough runs, then whether these can
 * be compared, then on which side of 1 the interval of the variance ratio var(a) / var(b) lies.
 *
 * A failed run has no gain. Where the method that looks steadier failed more often, its spread is that of its survivors and
 * nothing is claimed. Gains that are all the same have no variance to compare.
 *
 * @param evidence.mixesPlacements they pay their KL penalty in different places, which alone changes gains and their spread
 * @param evidence.ratioInterval null where the runs have too few (block, member) units for one, or resamples without a variance
 */
export function decideVerdict(evidence: {
  pairs: number;
  klMatched: boolean;
  mixesPlacements: boolean;
  ratioInterval: Interval | null;
  pairedSd: { a: number | null; b: number | null };
  failedA: number;
  failedB: number;
}): Verdict {
  const { pairs, klMatched, mixesPlacements, ratioInterval, pairedSd, failedA, failedB } = evidence;
  if (mixesPlacements) return 'not comparable';
  if (pairs < fewestPairs) return 'too few runs to tell';
  if (!klMatched) return 'not comparable';
  if (pairedSd.a === 0 || pairedSd.b === 0) return 'not comparable';
  if (!ratioInterval) return 'too few runs to tell';
  const [low, high] = ratioInterval;
  if (low > 1) return failedB <= failedA ? 'steadier' : 'not comparable';
  if (high < 1) return failedA <= failedB ? 'less steady' : 'not comparable';
  return 'no difference shown';
}
