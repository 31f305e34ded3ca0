import { isDeepStrictEqual } from 'node:util';
import { workerData } from 'node:worker_threads';
import { DomainError } from '@surefoot/errors';
import { exposeToParent } from '@surefoot/service';
import { parameterCount, readModelConfig } from '@surefoot/language-model';
import { inspectMachine, openBackend, planAuto, type Backend, type BackendName } from '@surefoot/tensor';
import type { RunStage } from './run';
import { generate, type GeneratedResponse, type GenerationJob } from './generate';
import { trainingRun } from './training-run';
import type { ScoreRequest, Scores, TrainingJob, TrainingOutcome } from './training-job';
import type { MetricsLine } from './metrics-file';

/** What the thread is started with. */
export interface ComputeSettings {
  backend: BackendName;
  /** Processor threads; default as many as there are cores. */
  threads?: number;
  requireGpu: boolean;
}

/** What the compute thread does for the main thread. */
export type ComputeProcedures = {
  /** Opens the backend before any policy is known, so that one that is not there is known at once. */
  open: () => Promise<void>;
  train: (job: TrainingJob) => Promise<TrainingOutcome>;
  generate: (job: GenerationJob) => Promise<void>;
};

/** What the main thread does for the compute thread. */
export type MainProcedures = {
  /** Told of every backend that is opened, before anything else. */
  opened: (backend: Backend) => void;
  score: (request: ScoreRequest) => Promise<Scores>;
  stage: (stage: RunStage | undefined) => void;
  iterationDone: (line: MetricsLine) => void;
  warn: (message: string) => void;
  responseDone: (response: GeneratedResponse) => void;
};

const { backend, threads, requireGpu } = workerData as ComputeSettings;

const procedures: ComputeProcedures = {
  open: () => open(),
  train: async (job) => {
    await openFor(job.paths.policy);
    return trainingRun(job, {
      score: (request) => main('score', request),
      onIteration: (line) => void main('iterationDone', line).catch(() => undefined),
      onStage: (stage) => void main('stage', stage).catch(() => undefined),
      warn,
      checkStopped: () => checkStopped(job.stop),
    });
  },
  generate: async (job) => {
    await openFor(job.policy);
    return generate(job, {
      onResponse: (response) => void main('responseDone', response).catch(() => undefined),
      warn,
      checkStopped: () => checkStopped(job.stop),
    });
  },
};

const main = exposeToParent<MainProcedures>(procedures);

const warn = (message: string) => void main('warn', message).catch(() => undefined);

const attempts = (parameters?: number) => planAuto(inspectMachine(), { parameters, requireGpu }).attempts;
/** What was attempted for the backend that is open: its first may have failed, and would again. */
let attempted: ReturnType<typeof attempts>;

async function open(parameters?: number): Promise<void> {
  const opened = await openBackend(backend, { threads, requireGpu, parameters });
  attempted = attempts(parameters);
  void main('opened', opened).catch(() => undefined);
}

/** Where the backend is chosen by the size of the model, which is known only with a policy. */
async function openFor(policy: string): Promise<void> {
  if (backend !== 'auto') return;
  const parameters = parameterCount(await readModelConfig(policy));
  if (!isDeepStrictEqual(attempts(parameters), attempted)) await open(parameters);
}

function checkStopped(stop: SharedArrayBuffer): void {
  if (Atomics.load(new Int32Array(stop), 0) !== 0) throw new DomainError('aborted', 'stopped');
}
