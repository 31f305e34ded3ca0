import { DomainError } from '@surefoot/errors';
import { compareMethods, type Comparison, type ComparisonOptions, type MethodRuns } from './comparison';
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
  /** What the judge alone would have said; null unless gold is the measure and every completed run has a judge's score too. */
  byJudge: JudgeReport | null;
  warnings: string[];
}

/** The same runs by the judge, to see how far it can be trusted where there is no gold. */
export interface JudgeReport {
  methods: Record<string, Pick<MethodSummary, 'gain' | 'worse'>>;
  comparisons: Comparison[];
  /** Runs that ended worse than they began, by both, by one alone, by neither; completed runs only. */
  worse: { both: number; goldOnly: number; judgeOnly: number; neither: number };
}

/**
 * The statistics of an experiment, from its runs alone.
 *
 * @param runs every run that has ended, in any order; cancelled ones count nowhere
 * @param options.seed of the bootstrap, default 1
 * @param options.replicates of the bootstrap, default 10,000
 * @param options.klPlacements where each method pays its KL penalty, as far as it is known: methods of two places are not compared
 * @throws DomainError invalid_argument for no runs, a run given twice, or no measure that every completed run has
 */
export function riskReport(
  runs: readonly RunRecord[],
  { seed = 1, replicates = 10_000, klPlacements = {} }: Partial<ComparisonOptions> = {},
): RiskReport {
  const options = { seed, replicates, klPlacements };
  const ordered = runs.toSorted((a, b) => a.index - b.index);
  refuseRepeats(ordered);
  const completed = ordered.filter((run) => run.status === 'completed');
  const measure = primaryMeasure(completed);
  const methods = methodsOf(ordered, measure);
  if (methods.length === 0)
    throw new DomainError('invalid_argument', 'no run has completed or failed: there is nothing to report yet');
  const comparisons = compareWithFirst(methods, options);
  return {
    measure,
    initial: summariseInitial(completed, measure),
    methods: Object.fromEntries(methods.map(({ name, summary }) => [name, summary])),
    comparisons,
    judgeAgainstGold: compareMeasures(completed),
    byJudge: measure === 'gold' ? reportByJudge(ordered, options) : null,
    warnings: warningsOf({ runs: ordered, measure, methods, comparisons }),
  };
}

/**
 * What each method has come to so far, without comparisons; no method where no run has ended yet.
 *
 * @throws DomainError invalid_argument for no measure that every completed run has
 */
export function methodSummaries(runs: readonly RunRecord[]): Pick<RiskReport, 'measure' | 'methods'> {
  const measure = primaryMeasure(runs.filter((run) => run.status === 'completed'));
  const methods = methodsOf(
    runs.toSorted((a, b) => a.index - b.index),
    measure,
  );
  return { measure, methods: Object.fromEntries(methods.map(({ name, summary }) => [name, summary])) };
}

function methodsOf(runs: readonly RunRecord[], measure: Measure): MethodRuns[] {
  return [...groupBy(outcomesOf(runs, measure), ({ run }) => run.method)].map(([name, outcomes]) => ({
    name,
    outcomes,
    summary: summariseMethod(outcomes),
  }));
}

function compareWithFirst([first, ...others]: MethodRuns[], options: ComparisonOptions): Comparison[] {
  return others.map((other) => compareMethods(first!, other, options));
}

function reportByJudge(runs: readonly RunRecord[], options: ComparisonOptions): JudgeReport | null {
  const completed = runs.filter((run) => run.status === 'completed');
  if (completed.length === 0 || !completed.every((run) => hasMeasure(run, 'judge'))) return null;
  const methods = methodsOf(runs, 'judge');
  const [gold, judge] = (['gold', 'judge'] as const).map((measure) =>
    outcomesOf(completed, measure).map(({ isWorse }) => isWorse),
  ) as [boolean[], boolean[]];
  const count = (byGold: boolean, byJudge: boolean) =>
    gold.filter((isWorse, i) => isWorse === byGold && judge[i] === byJudge).length;
  return {
    methods: Object.fromEntries(methods.map(({ name, summary: { gain, worse } }) => [name, { gain, worse }])),
    comparisons: compareWithFirst(methods, options),
    worse: {
      both: count(true, true),
      goldOnly: count(true, false),
      judgeOnly: count(false, true),
      neither: count(false, false),
    },
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
