import { finiteInterval, finiteOrNull } from './finite';
import { meanInterval, proportionInterval, standardDeviationInterval, type Interval } from './intervals';
import { mean, meanOfWorstTenth, quantile, standardDeviation } from './moments';
import { groupBy } from './group-by';
import { completedValues, dataSetOf, type Outcome } from './outcome';

/** What the runs of one method came to; null where the runs are too few for a number. */
export interface MethodSummary {
  /** Runs that completed or failed. */
  n: number;
  /** Final less initial value over the `n` completed runs. */
  gain: {
    n: number;
    mean: number | null;
    /** Student's t. */
    ci95: Interval | null;
    /** With n - 1. */
    sd: number | null;
    /** Chi-square. */
    sdCi95: Interval | null;
    median: number | null;
    /** Quartiles, linear between order statistics. */
    quartiles: Interval | null;
    min: number | null;
    max: number | null;
    /** Mean of the worst ceil(n / 10). */
    cvar10: number | null;
  };
  /** Runs that ended below their start, failed ones included; Clopper–Pearson. */
  worse: { count: number; n: number; p: number; ci95: Interval };
  /** Largest 5-iteration moving mean of the trajectory, and how far it lies above the start. */
  peak: { mean: number | null; gain: number | null };
  /** That peak less the mean of the last 5 iterations: of moving means both, not of single iterations. */
  dropFromPeak: { mean: number | null; max: number | null };
  /** Final mean sequence KL to the reference, nats. */
  kl: { mean: number | null; min: number | null; max: number | null };
  failed: number;
  /** What the runs came to on each data set, whose runs have much in common; in their order. */
  blocks: BlockSummary[];
  /** Of the runs, in their order. */
  seeds: number[];
}

/** The runs of one method on one data set. */
export interface BlockSummary {
  block: string;
  /** Runs that completed or failed. */
  n: number;
  /** Over the `n` completed runs; sd with n - 1. */
  gain: { n: number; mean: number | null; sd: number | null };
  /** As of all runs. */
  worse: { count: number; n: number };
}

/** @param outcomes of one method, at least one */
export function summariseMethod(outcomes: readonly Outcome[]): MethodSummary {
  const n = outcomes.length;
  const worse = outcomes.filter(({ isWorse }) => isWorse).length;
  const peaks = completedValues(outcomes, ({ peak }) => peak?.value);
  const drops = completedValues(outcomes, ({ peak }) => peak?.drop);
  const kls = completedValues(outcomes, ({ kl }) => kl);
  return {
    n,
    gain: summariseGains(completedValues(outcomes, ({ gain }) => gain)),
    worse: { count: worse, n, p: worse / n, ci95: proportionInterval(worse, n) },
    peak: {
      mean: finiteOrNull(mean(peaks)),
      gain: finiteOrNull(mean(completedValues(outcomes, ({ peak, initial }) => peak && peak.value - initial))),
    },
    dropFromPeak: { mean: finiteOrNull(mean(drops)), max: finiteOrNull(Math.max(...drops)) },
    kl: { mean: finiteOrNull(mean(kls)), min: finiteOrNull(Math.min(...kls)), max: finiteOrNull(Math.max(...kls)) },
    failed: outcomes.filter(({ completed }) => !completed).length,
    blocks: [...groupBy(outcomes, dataSetOf)].map(([block, own]) => summariseBlock(block, own)),
    seeds: outcomes.map(({ run }) => run.seed),
  };
}

function summariseBlock(block: string, outcomes: readonly Outcome[]): BlockSummary {
  const gains = completedValues(outcomes, ({ gain }) => gain);
  const n = outcomes.length;
  return {
    block,
    n,
    gain: { n: gains.length, mean: finiteOrNull(mean(gains)), sd: finiteOrNull(standardDeviation(gains)) },
    worse: { count: outcomes.filter(({ isWorse }) => isWorse).length, n },
  };
}

function summariseGains(gains: readonly number[]): MethodSummary['gain'] {
  return {
    n: gains.length,
    mean: finiteOrNull(mean(gains)),
    ci95: finiteInterval(meanInterval(gains)),
    sd: finiteOrNull(standardDeviation(gains)),
    sdCi95: finiteInterval(standardDeviationInterval(gains)),
    median: finiteOrNull(quantile(gains, 0.5)),
    quartiles: finiteInterval([quantile(gains, 0.25), quantile(gains, 0.75)]),
    min: finiteOrNull(Math.min(...gains)),
    max: finiteOrNull(Math.max(...gains)),
    cvar10: finiteOrNull(meanOfWorstTenth(gains)),
  };
}
