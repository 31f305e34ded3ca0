import type { TrainingOutcome, TrainingJob } from './training-job';
import type { LiveRun } from './live-run';
import type { RunSettings } from './run-settings';
import type { BackendName } from '@surefoot/tensor';
import type { Logger } from '@surefoot/service';

export interface RunExecution {
  check(settings: RunSettings): Promise<void>;
  execute(run: { live: LiveRun; paths: TrainingJob['paths']; signal: AbortSignal }): Promise<TrainingOutcome>;
  close(): Promise<void>;
}

export function createRunExecution(_options: {
  backend: BackendName;
  patienceMs: number;
  logger: Logger;
}): RunExecution {
  throw new Error('later');
}
