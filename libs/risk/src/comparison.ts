import { bootstrap, percentileInterval, seededIntegers } from './bootstrap';
import { fisherExact, mcnemarExact } from './contingency';
import { finiteInterval, finiteOrNull } from './finite';
import { groupBy } from './group-by';
import { meanInterval, type Interval } from './intervals';
import type { MethodSummary } from './method-summary';
import { mean } from './moments';
import { completedValues, pairsOf, rewardModelOf, type Outcome, type Pair } from './outcome';
import { brownForsythe, pitmanMorgan, varianceRatio } from './spread';
import { decideVerdict, isKlMatched, type Verdict } from './verdict';

/** Method b against method a; null where the runs are too few for a number. */
export interface Comparison {
  a: string;
  b: string;
  /** Pairs of completed runs of equal block and number. */
  pairs: number;
  /** Gain of b less gain of a over the pairs; Student's t. */
  pairedGain: { mean: number | null; ci95: Interval | null };
  /** var(a) / var(b) of the pairs' gains; percentile bootstrap over whole (block, member) units,
   *  whole blocks where a method's reward is a statistic of all members. */
  varianceRatio: { value: number | null; ci95: Interval | null };
  /** Unpaired: over all completed runs. */
  brownForsythe: { F: number | null; p: number | null };
  /** Over the pairs. */
  pitmanMorganP: number | null;
  worse: {
    /** Over all pairs, failed runs included. */
    mcnemar: { aOnly: number; bOnly: number; p: number };
    /** Unpaired: over all runs. */
    fisherP: number;
  };
  /** The mean final KLs match within 15 %. */
  klMatched: boolean;
  verdict: Verdict;
}

/** The runs of one method and what they came to. */
export interface MethodRuns {
  name: string;
  outcomes: Outcome[];
  summary: MethodSummary;
}

// With fewer (block, member) units a 95 % percentile interval ends at the most extreme resamples and says nothing.
const fewestUnits = 5;

export function compareMethods(
  a: MethodRuns,
  b: MethodRuns,
  options: { seed: number; replicates: number },
): Comparison {
  const pairs = pairsOf(a.outcomes, b.outcomes);
  const completed = pairs.filter((pair) => pair.every((outcome) => outcome.completed));
  const [gainsA, gainsB] = [gainsOf(completed.map(([own]) => own)), gainsOf(completed.map(([, other]) => other))];
  const difference = gainsB.map((gain, i) => gain - (gainsA[i] as number));
  const ratioInterval = finiteInterval(varianceRatioInterval(completed, options));
  const { F, p } = brownForsythe(gainsOf(a.outcomes), gainsOf(b.outcomes));
  const klMatched = isKlMatched(a.summary.kl.mean, b.summary.kl.mean);
  const [failedA, failedB] = [a.summary.failed, b.summary.failed];
  return {
    a: a.name,
    b: b.name,
    pairs: completed.length,
    pairedGain: { mean: finiteOrNull(mean(difference)), ci95: finiteInterval(meanInterval(difference)) },
    varianceRatio: { value: finiteOrNull(varianceRatio(gainsA, gainsB)), ci95: ratioInterval },
    brownForsythe: { F: finiteOrNull(F), p: finiteOrNull(p) },
    pitmanMorganP: finiteOrNull(pitmanMorgan(gainsA, gainsB)),
    worse: compareWorse(a.summary, b.summary, pairs),
    klMatched,
    verdict: decideVerdict({ pairs: completed.length, klMatched, ratioInterval, failedA, failedB }),
  };
}

function gainsOf(outcomes: readonly Outcome[]): number[] {
  return completedValues(outcomes, ({ gain }) => gain);
}

/** Runs that followed the same reward model share its errors, so whole (block, member) units are resampled. */
function varianceRatioInterval(
  pairs: readonly Pair[],
  { seed, replicates }: { seed: number; replicates: number },
): Interval {
  const units = [...groupBy(pairs, (pair) => rewardModelOf(...pair)).values()];
  if (units.length < fewestUnits) return [NaN, NaN];
  const ratio = (drawn: readonly number[]) => {
    const resample = drawn.flatMap((unit) => units[unit] as Pair[]);
    return varianceRatio(gainsOf(resample.map(([a]) => a)), gainsOf(resample.map(([, b]) => b)));
  };
  return percentileInterval(bootstrap(units.length, ratio, { replicates, integer: seededIntegers(seed) }));
}

function compareWorse(a: MethodSummary, b: MethodSummary, pairs: readonly Pair[]): Comparison['worse'] {
  const aOnly = pairs.filter(([own, other]) => own.isWorse && !other.isWorse).length;
  const bOnly = pairs.filter(([own, other]) => !own.isWorse && other.isWorse).length;
  const row = ({ worse }: MethodSummary): [number, number] => [worse.count, worse.n - worse.count];
  return { mcnemar: { aOnly, bOnly, p: mcnemarExact(aOnly, bOnly) }, fisherP: fisherExact([row(a), row(b)]) };
}
