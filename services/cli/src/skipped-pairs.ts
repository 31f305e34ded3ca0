import type { RowPlace } from '@surefoot/preference';
import type { FitOptions, FitReport } from '@surefoot/reward';
import type { ReadPairs } from './pair-files';

/** From this share on, what is left may be something else than what was given, such as the short answers alone. */
const muchSkipped = 0.1;

/** Says of the pairs that a fit passed over how many they are, and which is the first; no line where there is none. */
export function skippedPairs(skipped: FitReport['skipped'], places: ReadPairs['places']): string[] {
  return [
    ...noteOf('pairs', skipped.pairs, places.pairs),
    ...noteOf('held-out pairs', skipped.evalPairs, places.evalPairs),
  ];
}

/** Where the first pairs were read, as messages name it. */
export function firstPlaces({ pairs, evalPairs }: ReadPairs['places']): NonNullable<FitOptions['firstPlaces']> {
  return { pairs: pairs[0] && placeName(pairs[0]), evalPairs: evalPairs[0] && placeName(evalPairs[0]) };
}

const placeName = ({ file, line }: RowPlace) => `${file} line ${line}`;

function noteOf(what: string, [first, ...others]: FitReport['skipped']['pairs'], all: ReadPairs['places']['pairs']) {
  if (!first) return [];
  const count = 1 + others.length;
  const share = count / all.length;
  const percent = share < 0.01 ? '< 1' : Math.round(100 * share);
  const found = `${count} of ${all.length} ${what} (${percent} %) were passed over`;
  const note = share > muchSkipped ? `WARNING: ${found}: the results are of the others alone` : found;
  return [`${note}; the first, ${placeName(all[first.index]!)}: ${first.reason}`];
}
