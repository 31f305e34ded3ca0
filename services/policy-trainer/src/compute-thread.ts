import { workerData } from 'node:worker_threads';
import { DomainError } from '@surefoot/errors';
import { exposeToParent } from '@surefoot/service';
import { openBackend, type Backend, type BackendName } from '@surefoot/tensor';
import { generate, type GeneratedResponse, type GenerationJob } from './generate';
import { trainingRun } from './training-run';
import type { ScoreRequest, Scores, TrainingJob, TrainingOutcome } from './training-job';
import type { MetricsLine } from './metrics-file';

/** What the compute thread does for the main thread. */
export type ComputeProcedures = {
  /** Opens the backend; comes before everything else. */
  open: () => Promise<Backend>;
  train: (job: TrainingJob) => Promise<TrainingOutcome>;
  generate: (job: GenerationJob) => Promise<void>;
};

/** What the main thread does for the compute thread. */
export type MainProcedures = {
  score: (request: ScoreRequest) => Promise<Scores>;
  iterationDone: (line: MetricsLine) => void;
  warn: (message: string) => void;
  responseDone: (response: GeneratedResponse) => void;
};

const procedures: ComputeProcedures = {
  open: () => openBackend((workerData as { backend: BackendName }).backend),
  train: (job) =>
    trainingRun(job, {
      score: (request) => main('score', request),
      onIteration: (line) => void main('iterationDone', line).catch(() => undefined),
      warn: (message) => void main('warn', message).catch(() => undefined),
      checkStopped: () => checkStopped(job.stop),
    }),
  generate: (job) =>
    generate(job, {
      onResponse: (response) => void main('responseDone', response).catch(() => undefined),
      checkStopped: () => checkStopped(job.stop),
    }),
};

const main = exposeToParent<MainProcedures>(procedures);

function checkStopped(stop: SharedArrayBuffer): void {
  if (Atomics.load(new Int32Array(stop), 0) !== 0) throw new DomainError('aborted', 'stopped');
}
