import { peakOf, type Peak } from './peak';
import type { Measure, RunRecord } from './run-record';

/** A run that counts, seen through the primary measure: completed or failed, not cancelled. */
export interface Outcome {
  run: RunRecord;
  /** Ended below its start; a failed run counts as worse. */
  isWorse: boolean;
  /** What a completed run came to. */
  completed?: {
    /** Final less initial value. */
    gain: number;
    initial: number;
    final: number;
    /** Final mean sequence KL to the reference, nats. */
    kl: number;
    /** Of the trajectory; absent without one. */
    peak?: Peak;
  };
}

/** The outcomes of the runs that were not cancelled; every completed run must have the measure. */
export function outcomesOf(runs: readonly RunRecord[], measure: Measure): Outcome[] {
  return runs
    .filter((run) => run.status !== 'cancelled')
    .map((run) => {
      if (run.status !== 'completed') return { run, isWorse: true };
      const [initial, final] = [run.initial[measure] as number, run.final[measure] as number];
      const peak = peakOf(run.trajectory[measure] ?? []);
      return {
        run,
        isWorse: final < initial,
        completed: { gain: final - initial, initial, final, kl: run.final.kl, peak },
      };
    });
}

/** One quantity of the completed runs; runs without it are passed over. */
export function completedValues(
  outcomes: readonly Outcome[],
  quantity: (completed: NonNullable<Outcome['completed']>) => number | undefined,
): number[] {
  return outcomes.flatMap(({ completed }) => (completed && quantity(completed)) ?? []);
}

/**
 * The reward models that runs followed, as a key: runs with the same key share a reward model's errors and are not independent.
 *
 * @returns data set and member; the data set alone where one of the runs was paid by a statistic of all its members; with block and run
 *   where the file does not say
 */
export function rewardModelOf(...outcomes: readonly Outcome[]): string {
  const [{ run }] = outcomes as [Outcome];
  const isShared = outcomes.some(({ run: { reward = 'member' } }) => reward !== 'member');
  const dataSet = dataSetOf(outcomes[0] as Outcome);
  return JSON.stringify(isShared ? [dataSet] : [dataSet, run.member ?? `${run.block} run ${run.run}`]);
}

/** The data set that a run's reward models were fitted on: its block, or what several blocks with the same models have in common. */
export function dataSetOf({ run }: Outcome): string {
  return run.ensemble ?? run.block;
}

/** Two runs of different methods that share block and number, and as a rule seed and member. */
export type Pair = [a: Outcome, b: Outcome];

/** The outcomes of `a` and `b` that belong together, by block and number of the run, in the order of `a`. */
export function pairsOf(a: readonly Outcome[], b: readonly Outcome[]): Pair[] {
  const partners = new Map(b.map((outcome) => [pairKey(outcome), outcome]));
  return a.flatMap((outcome) => {
    const partner = partners.get(pairKey(outcome));
    return partner ? [[outcome, partner] satisfies Pair] : [];
  });
}

function pairKey({ run }: Outcome): string {
  return JSON.stringify([run.block, run.run]);
}
