import { outcomesOf, type Outcome, type RiskReport, type RunRecord } from '@surefoot/risk';
import { numberFormat, type NumberFormat } from './numbers';
import { methodStyle, type MethodStyle } from './palette';

/** A method with its runs, as charts need it. */
export interface MethodSeries {
  name: string;
  style: MethodStyle;
  /** In the order of the experiment; without cancelled runs. */
  outcomes: Outcome[];
}

/** The methods of a report in its order. */
export function methodSeries(report: RiskReport, runs: readonly RunRecord[]): MethodSeries[] {
  const outcomes = outcomesOf(
    runs.toSorted((a, b) => a.index - b.index),
    report.measure,
  );
  return Object.keys(report.methods).map((name, i) => ({
    name,
    style: methodStyle(i),
    outcomes: outcomes.filter(({ run }) => run.method === name),
  }));
}

/** Which run a mark is. */
export function runName({ method, block, run, seed }: RunRecord): string {
  return `${method}, ${block}, run ${run} (seed ${seed})`;
}

/** How the quantities of a report are shown, wherever they stand on its page. */
export interface ReportFormats {
  /** Values and gains on the primary measure. */
  value: NumberFormat;
  /** KLs, nats. */
  kl: NumberFormat;
}

/** With the decimals that the spread of the gains, and the smallest mean KL, need. */
export function reportFormats({ methods }: RiskReport): ReportFormats {
  const summaries = Object.values(methods);
  return {
    value: numberFormat(
      summaries.flatMap(({ gain: { mean, sd, ci95 } }) => [sd ?? Math.abs(mean ?? 0), ci95 && ci95[1] - ci95[0]]),
    ),
    kl: numberFormat(summaries.map(({ kl }) => kl.mean)),
  };
}

/** What a run came to, in words. */
export function runWords({ run, completed }: Outcome, { value, kl }: ReportFormats): string {
  return completed
    ? `${runName(run)}: gain ${value.signed(completed.gain)}, KL ${kl.fixed(completed.kl)}`
    : runName(run);
}

/** What the primary measure is called on an axis or in a sentence. */
export function measureName({ measure }: RiskReport): string {
  return measure === 'gold' ? 'gold value' : 'judge score';
}
