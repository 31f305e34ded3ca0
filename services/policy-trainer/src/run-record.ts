import { status as Status } from '@grpc/grpc-js';
import { peakOf } from '@surefoot/risk';
import type { MetricsLine } from './metrics-file';
import type { Run, RunResult, RunState, ScorerIdentity, Trajectory } from './run';
import type { RunSettings } from './run-settings';

/** run.json: a line of an experiment's runs.jsonl, as far as the trainer knows it. */
export interface RunFile {
  id: string;
  mode: string;
  reward: string;
  /** Present where `reward` is `member`. */
  member?: number;
  seed: number;
  status: 'completed' | 'failed' | 'cancelled';
  /** Iterations finished. */
  iterations: number;
  initial?: RunResult['initial'];
  final?: RunResult['final'];
  /** Largest 5-iteration moving mean of the primary measure; the iteration at which that window ends. */
  peak?: { gold?: number; judge?: number; iteration: number };
  /** The peak less the mean of the last five iterations. */
  dropFromPeak?: number;
  /** A value an iteration; `gold` and `judge` where there is such a measure. */
  trajectory: Partial<Trajectory>;
  seconds: number;
  error?: { code: string; message: string };
  ensemble?: ScorerIdentity;
  judge?: ScorerIdentity;
  /** Absent without any. */
  warnings?: string[];
}

/** What run.json holds of a run that has ended. */
export function runRecord(run: Run): RunFile {
  const { reward, member, mode } = run.settings.ppo;
  const trajectory = run.trajectory ?? { gold: [], judge: [], kl: [] };
  return {
    id: run.id,
    mode,
    reward,
    ...(reward === 'member' && { member }),
    seed: run.settings.seed,
    status: run.state as RunFile['status'],
    iterations: run.iteration,
    ...run.result,
    ...peakFields(trajectory),
    trajectory: Object.fromEntries(Object.entries(trajectory).filter(([, values]) => values.length > 0)),
    seconds: run.seconds,
    ...(run.error && { error: { code: Status[run.error.code], message: run.error.message } }),
    ...(run.ensemble && { ensemble: run.ensemble }),
    ...(run.judge && { judge: run.judge }),
    ...(run.warnings && { warnings: run.warnings }),
  };
}

/** The run that run.json and its settings tell of; the inverse of `runRecord`. */
export function parseRunRecord(record: unknown, settings: RunSettings): Run {
  const { id, status, iterations, seconds, initial, final, trajectory, error, ensemble, judge, warnings } =
    record as RunFile;
  return {
    id,
    state: status satisfies RunState,
    settings,
    iteration: iterations,
    seconds,
    trajectory: { gold: [], judge: [], kl: [], ...trajectory },
    ...(initial && final && { result: { initial, final } }),
    ...(error && { error: { code: Status[error.code as keyof typeof Status], message: error.message } }),
    ...(ensemble && { ensemble }),
    ...(judge && { judge }),
    ...(warnings && { warnings }),
  };
}

/** The means of each iteration's batch, from its metrics. */
export function trajectoryOf(lines: MetricsLine[]): Trajectory {
  const values = (name: string) => lines.flatMap(({ metrics }) => metrics[name] ?? []);
  return { gold: values('objective/gold'), judge: values('judge/score'), kl: values('objective/kl') };
}

/** The best stretch of the primary measure: gold where there is an oracle, else the judge. */
export function peakFields(trajectory: Trajectory): Pick<RunFile, 'peak' | 'dropFromPeak'> {
  const measure = trajectory.gold.length > 0 ? 'gold' : 'judge';
  const peak = peakOf(trajectory[measure]);
  return peak ? { peak: { [measure]: peak.value, iteration: peak.iteration }, dropFromPeak: peak.drop } : {};
}
