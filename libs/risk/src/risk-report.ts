import { DomainError } from '@surefoot/errors';
import { compareMethods, type Comparison, type MethodRuns } from './comparison';
import { pearson, spearman } from './correlation';
import { finiteInterval, finiteOrNull } from './finite';
import { groupBy } from './group-by';
import { correlationInterval, type Interval } from './intervals';
import { summariseMethod, type MethodSummary } from './method-summary';
import { mean } from './moments';
import { outcomesOf } from './outcome';
import { hasMeasure, type CompletedRun, type Measure, type RunRecord } from './run-record';
import { warningsOf } from './warnings';

/** The content of report.json; a number that does not exist is null. */
export interface RiskReport {
  /** What gains are measured by: gold where every completed run has it, else the judge. */
  measure: Measure;
  /** Value of the start policy: mean over the runs, and the standard error of one evaluation, which all runs share. */
  initial: { mean: number | null; standardError: number | null };
  /** By name, in the order of the experiment. */
  methods: Record<string, MethodSummary>;
  /** Every other method with the first. */
  comparisons: Comparison[];
  /** Final judge score against final gold value over the completed runs that have both; null without any. */
  judgeAgainstGold: { n: number; pearson: number | null; pearsonCi95: Interval | null; spearman: number | null } | null;
  warnings: string[];
}

/**
 * The statistics of an experiment, from its runs alone.
 *
 * @param runs every run that has ended, in any order; cancelled ones count nowhere
 * @param options.seed of the bootstrap, default 1
 * @param options.replicates of the bootstrap, default 10,000
 * @throws DomainError invalid_argument for no runs, a run given twice, or no measure that every completed run has
 */
export function riskReport(runs: readonly RunRecord[], { seed = 1, replicates = 10_000 } = {}): RiskReport {
  const ordered = runs.toSorted((a, b) => a.index - b.index);
  refuseRepeats(ordered);
  const completed = ordered.filter((run) => run.status === 'completed');
  const measure = primaryMeasure(completed);
  const outcomes = outcomesOf(ordered, measure);
  const methods = [...groupBy(outcomes, ({ run }) => run.method)].map(([name, own]): MethodRuns => ({
    name,
    outcomes: own,
    summary: summariseMethod(own),
  }));
  const [first, ...others] = methods;
  if (!first)
    throw new DomainError('invalid_argument', 'no run has completed or failed: there is nothing to report yet');
  const comparisons = others.map((other) => compareMethods(first, other, { seed, replicates }));
  return {
    measure,
    initial: summariseInitial(completed, measure),
    methods: Object.fromEntries(methods.map(({ name, summary }) => [name, summary])),
    comparisons,
    judgeAgainstGold: compareMeasures(completed),
    warnings: warningsOf({ runs: ordered, measure, methods, comparisons }),
  };
}

function refuseRepeats(runs: readonly RunRecord[]): void {
  const [repeated] = [
    ...groupBy(runs, ({ method, block, run }) => JSON.stringify([method, block, run])).values(),
  ].filter((group) => group.length > 1);
  if (!repeated?.[0]) return;
  const { method, block, run } = repeated[0];
  throw new DomainError(
    'invalid_argument',
    `run ${run} of ${method} in block ${block} is given ${repeated.length} times`,
  );
}

function primaryMeasure(completed: readonly CompletedRun[]): Measure {
  const measure = (['gold', 'judge'] as const).find((candidate) =>
    completed.every((run) => hasMeasure(run, candidate)),
  );
  if (measure) return measure;
  throw new DomainError(
    'invalid_argument',
    'some runs have only gold values and some only judge scores: report them apart',
  );
}

function summariseInitial(completed: readonly CompletedRun[], measure: Measure): RiskReport['initial'] {
  return {
    mean: finiteOrNull(mean(completed.map((run) => run.initial[measure] as number))),
    standardError: finiteOrNull(Math.max(...completed.flatMap((run) => run.initial.standardError ?? []))),
  };
}

function compareMeasures(completed: readonly CompletedRun[]): RiskReport['judgeAgainstGold'] {
  const both = completed.filter((run) => run.final.gold !== undefined && run.final.judge !== undefined);
  if (both.length === 0) return null;
  const judge = both.map((run) => run.final.judge as number);
  const gold = both.map((run) => run.final.gold as number);
  const r = pearson(judge, gold);
  return {
    n: both.length,
    pearson: finiteOrNull(r),
    pearsonCi95: finiteInterval(correlationInterval(r, both.length)),
    spearman: finiteOrNull(spearman(judge, gold)),
  };
}
