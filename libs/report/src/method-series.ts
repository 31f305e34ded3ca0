import { outcomesOf, type Outcome, type RiskReport, type RunRecord } from '@surefoot/risk';
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

/** What the primary measure is called on an axis or in a sentence. */
export function measureName({ measure }: RiskReport): string {
  return measure === 'gold' ? 'gold value' : 'judge score';
}
