import { bootstrap, percentileInterval, seededIntegers } from './bootstrap';
import { fisherExact, mcnemarExact } from './contingency';
import { finiteInterval, finiteOrNull } from './finite';
import { groupBy } from './group-by';
import { meanInterval, type Interval } from './intervals';
import type { MethodSummary } from './method-summary';
import { mean, standardDeviation } from './moments';
import { completedValues, dataSetOf, pairsOf, rewardModelOf, type Outcome, type Pair } from './outcome';
import { brownForsythe, pitmanMorgan, varianceRatio } from './spread';
import { decideVerdict, isKlMatched, type Verdict } from './verdict';

/** Method b against method a; null where the runs are too few for a number. */
export interface Comparison {
  a: string;
  b: string;
  /** Pairs of completed runs of equal block and number. */
  pairs: number;
  /** Reward models that the pairs followed: the units of the bootstrap. */
  rewardModels: number;
  /** Gain of b less gain of a over the pairs; Student's t. */
  pairedGain: {
    mean: number | null;
    ci95: Interval | null;
    /** The same over data sets: of the mean difference on each; null with one data set. */
    overBlocks: { blocks: number; mean: number; ci95: Interval } | null;
  };
  /** Standard deviations of the pairs' gains; 0 where they do not vary. */
  pairedSd: { a: number | null; b: number | null };
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
  /** Mean final KLs of the pairs, nats; null without a pair. */
  pairedKl: { a: number | null; b: number | null };
  /** These match within 15 %. */
  klMatched: boolean;
  /** Where each pays its KL penalty, if in different places: then nothing is claimed. Absent where it is one place, or not known. */
  klPlacements?: { a: string; b: string };
  verdict: Verdict;
}

/** The runs of one method and what they came to. */
export interface MethodRuns {
  name: string;
  outcomes: Outcome[];
  summary: MethodSummary;
}

/** How methods are compared. */
export interface ComparisonOptions {
  /** Of the bootstrap. */
  seed: number;
  /** Of the bootstrap. */
  replicates: number;
  /** Where each method pays its KL penalty (`ppo.klPlacement`), by name, as far as it is known. */
  klPlacements: Readonly<Record<string, string>>;
}

/** With fewer (block, member) units a 95 % percentile interval ends at the most extreme resamples and says nothing. */
export const fewestUnits = 5;

export function compareMethods(a: MethodRuns, b: MethodRuns, options: ComparisonOptions): Comparison {
  const pairs = pairsOf(a.outcomes, b.outcomes);
  const completed = pairs.filter((pair) => pair.every((outcome) => outcome.completed));
  const units = [...groupBy(completed, (pair) => rewardModelOf(...pair)).values()];
  const [gainsA, gainsB] = [gainsOf(completed.map(([own]) => own)), gainsOf(completed.map(([, other]) => other))];
  const difference = gainsB.map((gain, i) => gain - (gainsA[i] as number));
  const ratioInterval = finiteInterval(varianceRatioInterval(units, options));
  const { F, p } = brownForsythe(gainsOf(a.outcomes), gainsOf(b.outcomes));
  const pairedSd = {
    a: finiteOrNull(standardDeviation(gainsA)),
    b: finiteOrNull(standardDeviation(gainsB)),
  };
  const pairedKl = {
    a: meanKl(completed.map(([own]) => own)),
    b: meanKl(completed.map(([, other]) => other)),
  };
  const klMatched = isKlMatched(pairedKl.a, pairedKl.b);
  const klPlacements = differingPlacements(a.name, b.name, options.klPlacements);
  const [failedA, failedB] = [a.summary.failed, b.summary.failed];
  return {
    a: a.name,
    b: b.name,
    pairs: completed.length,
    rewardModels: units.length,
    pairedGain: {
      mean: finiteOrNull(mean(difference)),
      ci95: finiteInterval(meanInterval(difference)),
      overBlocks: gainOverBlocks(completed),
    },
    pairedSd,
    varianceRatio: { value: finiteOrNull(varianceRatio(gainsA, gainsB)), ci95: ratioInterval },
    brownForsythe: { F: finiteOrNull(F), p: finiteOrNull(p) },
    pitmanMorganP: finiteOrNull(pitmanMorgan(gainsA, gainsB)),
    worse: compareWorse(a.summary, b.summary, pairs),
    pairedKl,
    klMatched,
    ...(klPlacements && { klPlacements }),
    verdict: decideVerdict({
      ...{ pairs: completed.length, klMatched, mixesPlacements: klPlacements !== undefined },
      ...{ ratioInterval, pairedSd, failedA, failedB },
    }),
  };
}

function differingPlacements(nameA: string, nameB: string, placements: ComparisonOptions['klPlacements']) {
  const [a, b] = [placements[nameA], placements[nameB]];
  return a !== undefined && b !== undefined && a !== b ? { a, b } : undefined;
}

/** Those of its two methods whose gains over the pairs do not vary. */
export function constantOf({ a, b, pairedSd }: Comparison): string[] {
  return [...(pairedSd.b === 0 ? [b] : []), ...(pairedSd.a === 0 ? [a] : [])];
}

function gainsOf(outcomes: readonly Outcome[]): number[] {
  return completedValues(outcomes, ({ gain }) => gain);
}

function meanKl(outcomes: readonly Outcome[]): number | null {
  return finiteOrNull(mean(completedValues(outcomes, ({ kl }) => kl)));
}

/** What is gained on data sets like these: pairs of one data set have much in common, so that each counts once. */
function gainOverBlocks(pairs: readonly Pair[]): Comparison['pairedGain']['overBlocks'] {
  const blocks = [...groupBy(pairs, ([own]) => dataSetOf(own)).values()].map((own) =>
    mean(own.map(([a, b]) => (b.completed?.gain as number) - (a.completed?.gain as number))),
  );
  const ci95 = finiteInterval(meanInterval(blocks));
  return ci95 && { blocks: blocks.length, mean: mean(blocks), ci95 };
}

/** Runs that followed the same reward model share its errors, so whole (block, member) units are resampled. */
function varianceRatioInterval(units: readonly Pair[][], { seed, replicates }: ComparisonOptions): Interval {
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
