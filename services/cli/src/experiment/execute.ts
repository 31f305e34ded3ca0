import { realpathSync } from 'node:fs';
import { DomainError } from '@surefoot/errors';
import { makeFolder } from '@surefoot/files';
import type { Context } from '../command';
import { Interrupted } from '../failure';
import type { LocalServices } from '../local/services';
import { createBlockEnds } from './block-ends';
import type { Block, ExperimentConfig } from './config';
import { forgetSamples } from './disagreement-sample';
import { remoteRunId, type PlannedRun } from './plan';
import { recordedRun } from './recorded-run';
import { commonFolder, runConfig } from './run-config';
import { createRunProgress } from './run-progress';
import { createRunQueue, type RunQueue } from './run-queue';
import { createRunsSaver, hasBegun, runsFolder } from './runs-file';
import { sayOnce } from './run-warnings';
import { startScorers, type RunningScorers } from './scorers';
import { localWorker, remoteWorker, type RunTask, type Worker } from './trainers';

/** Where an experiment runs. */
export interface Execution {
  out: string;
  /** Trainer processes to start; ignored with `trainers`. */
  workers: number;
  /** Trainer services to use instead. */
  trainers?: string[];
  /** True to go on with runs that trainer services may have begun. */
  resume: boolean;
  /** The blocks whose reward models are compared when their runs have ended. */
  compared: Block[];
  services: LocalServices;
  context: Context;
}

/**
 * Does the runs of a plan, several at a time, and keeps runs.jsonl up to date with those that have ended. A trainer service that
 * is away is given up, and its run done by another.
 *
 * @param plan every run of the experiment
 * @param todo those to be done now, in the order in which they start
 * @throws Interrupted after Ctrl-C; DomainError where a scorer dies, a request is refused or no trainer is left: what has ended is kept
 */
export async function executeRuns(
  config: ExperimentConfig,
  plan: PlannedRun[],
  todo: PlannedRun[],
  execution: Execution,
): Promise<void> {
  const { out, services, context } = execution;
  const { terminal } = context;
  const isRemote = execution.trainers !== undefined;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  await makeFolder(runsFolder(out));
  await forgetSamples(out, todo);
  const runsFile = await createRunsSaver(out, plan, todo);
  const scorers = startScorers(services, config);
  const workers = await startWorkers(config, todo, scorers, execution);
  const queue = createRunQueue(todo);
  const blockEnds = createBlockEnds(plan, todo, { ...execution, scorers, signal });
  const progress = createRunProgress(terminal, plan, todo);
  const onWarnings = sayOnce(terminal.note);
  const doRun: DoRun = async (worker, planned, isHandedOver) => {
    const shown = progress.begin(planned);
    const request = await runRequest(planned, isHandedOver, { config, scorers, execution });
    const task = { ...request, isHandedOver, signal, onWarnings, ...shown };
    const lost = await recordedRun(worker, planned, task, { out, isRemote, terminal });
    if (lost) {
      shown.giveBack();
      return lost;
    }
    const isTableDue = shown.end();
    const lines = await runsFile.save();
    await blockEnds.runEnded(planned.block);
    if (isTableDue) progress.showTable(lines);
    return undefined;
  };
  try {
    const work = shareOut(queue, workers, doRun, execution).then(blockEnds.endOthers);
    await Promise.race([work, scorers.failed]);
  } catch (error) {
    const remote = isRemote ? '; what trainer services have begun goes on there, see surefoot runs list' : '';
    throw context.signal.aborted ? new Interrupted(`interrupted: go on with --resume --out ${out}${remote}`) : error;
  } finally {
    over.abort();
    queue.close();
    for (const worker of workers) worker.close();
    progress.finish();
    await runsFile.saved();
  }
}

/** Does a run. @returns why its worker is lost, where it is for another */
type DoRun = (worker: Worker, planned: PlannedRun, isHandedOver: boolean) => Promise<DomainError | undefined>;

/** Has every worker take one run after the other. One that is lost gets no more, and its run is done by another. */
async function shareOut(
  queue: RunQueue<PlannedRun>,
  workers: Worker[],
  doRun: DoRun,
  { out, context }: Execution,
): Promise<void> {
  const handedOver = new Set<PlannedRun>();
  let serving = workers.length;
  const retire = ({ name }: Worker, lost: DomainError) => {
    serving -= 1;
    if (serving > 0) return context.terminal.note(`warning: ${name} gets no more runs: ${lost.message}`);
    const message = `no trainer is left, the last: ${lost.message}; go on with --resume --out ${out}`;
    throw new DomainError('unavailable', message, { cause: lost });
  };
  const work = async (worker: Worker) => {
    for (let planned = await queue.take(); planned; planned = await queue.take()) {
      const lost = await doRun(worker, planned, handedOver.has(planned));
      if (lost) {
        handedOver.add(planned);
        queue.giveBack(planned);
        return retire(worker, lost);
      }
      queue.done();
    }
  };
  await Promise.all(workers.map(work));
}

/** What a worker is asked for. */
async function runRequest(
  planned: PlannedRun,
  isHandedOver: boolean,
  { config, scorers, execution }: { config: ExperimentConfig; scorers: RunningScorers; execution: Execution },
): Promise<Pick<RunTask, 'id' | 'config' | 'begun'>> {
  const { out, trainers, resume } = execution;
  return {
    id: trainers ? remoteRunId(config.name, planned) : planned.id,
    config: runConfig(planned, config, {
      dataFolder: trainers ? undefined : commonFolder(config),
      addresses: await scorers.addressesOf(planned.block),
      keepRollouts: config.keepRollouts,
    }),
    begun: trainers ? resume || isHandedOver : await hasBegun(out, planned),
  };
}

async function startWorkers(
  config: ExperimentConfig,
  todo: PlannedRun[],
  scorers: RunningScorers,
  { out, workers, trainers, services }: Execution,
): Promise<Worker[]> {
  const [first] = todo;
  if (!first) return [];
  if (trainers) return trainers.map(remoteWorker);
  const { ensemble, judge } = await scorers.addressesOf(first.block);
  const env = {
    SUREFOOT_RUNS_DIR: realpathSync(runsFolder(out)),
    SUREFOOT_DATA_DIR: commonFolder(config),
    SUREFOOT_ENSEMBLE_ADDRESS: ensemble,
    SUREFOOT_JUDGE_ADDRESS: judge || 'none',
  };
  return Promise.all(
    Array.from({ length: Math.min(workers, todo.length) }, (_, i) => localWorker(services, `trainer-${i + 1}`, env)),
  );
}
