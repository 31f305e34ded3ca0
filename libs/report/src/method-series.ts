import { outcomesOf, type Outcome, type RiskReport, type RunRecord } from '@surefoot/risk';
import { fixed, signed } from './numbers';
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

/** What a run came to, in words. */
export function runWords({ run, completed }: Outcome): string {
  return completed ? `${runName(run)}: gain ${signed(completed.gain)}, KL ${fixed(completed.kl)}` : runName(run);
}

/** What the primary measure is called on an axis or in a sentence. */
export function measureName({ measure }: RiskReport): string {
  return measure === 'gold' ? 'gold value' : 'judge score';
}
