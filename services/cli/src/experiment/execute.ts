import { realpathSync } from 'node:fs';
import { DomainError } from '@surefoot/errors';
import { makeFolder } from '@surefoot/files';
import { RunState } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { groupBy, methodSummaries } from '@surefoot/risk';
import type { Context } from '../command';
import { Interrupted } from '../failure';
import type { LocalServices } from '../local/services';
import type { IterationEvent, RunWatcher } from '../trainer-client';
import { remoteScorer, type Scorer } from '../scorer';
import { builtinPairsOf } from './builtin-task';
import type { ExperimentConfig } from './config';
import { writeDisagreementSample } from './disagreement-sample';
import { remoteRunId, type PlannedRun } from './plan';
import { remoteRunJson } from './remote-run';
import { commonFolder, runConfig } from './run-config';
import { createRunQueue } from './run-queue';
import { hasBegun, runsFolder, writeFailedRun, writeRunJson, writeRunsFile, type RunLine } from './runs-file';
import { runTable } from './run-table';
import { sayOnce } from './run-warnings';
import { startScorers, type RunningScorers } from './scorers';
import { localWorker, remoteWorker, type Worker } from './trainers';

/** Where an experiment runs. */
export interface Execution {
  out: string;
  /** Trainer processes to start; ignored with `trainers`. */
  workers: number;
  /** Trainer services to use instead. */
  trainers?: string[];
  /** True to go on with runs that trainer services may have begun. */
  resume: boolean;
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
  const { out, trainers, services, context } = execution;
  await makeFolder(runsFolder(out));
  const scorers = startScorers(services, config);
  const workers = await startWorkers(config, todo, scorers, execution);
  const left = new Map([...groupBy(todo, ({ block }) => block)].map(([block, { length }]) => [block, length]));
  const iterations = todo.reduce((sum, { method }) => sum + method.ppo.iterations, 0);
  const progress = context.terminal.progress('experiment', iterations, 'iterations');
  const onWarnings = sayOnce(context.terminal.note);
  const queue = createRunQueue(todo);
  const handedOver = new Set<PlannedRun>();
  let serving = workers.length;
  let finished = 0;
  const tablesAfter = tenths(todo.length);
  let tableAt = -Infinity;
  const onStage: RunWatcher['onStage'] = (stage) => {
    const doing = stage ? `, ${stage.name} ${stage.done}/${stage.total}` : '';
    progress.advance(0, `${finished}/${todo.length} runs${doing}`);
  };
  const work = async (worker: Worker) => {
    for (let planned = await queue.take(); planned; planned = await queue.take()) {
      let seen = 0;
      const onIteration = ({ iteration }: IterationEvent) => {
        progress.advance(iteration - seen, `${finished}/${todo.length} runs`);
        seen = iteration;
      };
      const isHandedOver = handedOver.has(planned);
      const watcher = { onIteration, onStage, onWarnings };
      const lost = await doRun(worker, planned, { config, scorers, execution, isHandedOver, ...watcher });
      if (lost) {
        progress.advance(-seen, `${finished}/${todo.length} runs`);
        handedOver.add(planned);
        queue.giveBack(planned);
        return retire(worker, lost);
      }
      queue.done();
      const count = (finished += 1);
      progress.advance(planned.method.ppo.iterations - seen, `${finished}/${todo.length} runs`);
      const lines = await saveRuns();
      left.set(planned.block, left.get(planned.block)! - 1);
      if (left.get(planned.block) === 0) await endBlock(planned);
      if (!tablesAfter.has(count) || performance.now() - tableAt < tableEveryMs) continue;
      tableAt = performance.now();
      context.terminal.note(tableSoFar(lines, plan));
    }
  };
  const retire = ({ name }: Worker, lost: DomainError) => {
    serving -= 1;
    if (serving > 0) return context.terminal.note(`warning: ${name} gets no more runs: ${lost.message}`);
    const message = `no trainer is left, the last: ${lost.message}; go on with --resume --out ${out}`;
    throw new DomainError('unavailable', message, { cause: lost });
  };
  // One at a time: a later write must not be overtaken by an earlier one.
  let saving = Promise.resolve<RunLine[]>([]);
  const saveRuns = () => (saving = saving.then(() => writeRunsFile(out, plan)));
  // One at a time too: blocks note what their members say in one file.
  let ending = Promise.resolve();
  const endBlock = (last: PlannedRun) =>
    (ending = ending.then(async () => {
      if (!trainers) await sampleDisagreement(last, scorers, execution);
      if (queue.waiting() > 0) await scorers.release(last.block);
    }));
  try {
    await Promise.race([Promise.all(workers.map(work)), scorers.failed]);
  } catch (error) {
    const remote = trainers ? '; what trainer services have begun goes on there, see surefoot runs list' : '';
    throw context.signal.aborted ? new Interrupted(`interrupted: go on with --resume --out ${out}${remote}`) : error;
  } finally {
    queue.close();
    for (const worker of workers) worker.close();
    progress.finish();
    await saving.catch(() => undefined);
  }
}

const tableEveryMs = 10_000;

/** After how many of `runs` runs the table so far is shown: about every tenth of them, but not at the end. */
export function tenths(runs: number): Set<number> {
  const counts = Array.from({ length: 9 }, (_, i) => Math.ceil(((i + 1) * runs) / 10));
  return new Set(counts.filter((count) => count < runs));
}

function tableSoFar(lines: RunLine[], plan: PlannedRun[]): string {
  return `so far, ${lines.length} of ${plan.length} runs:\n${runTable(methodSummaries(lines))}`;
}

/** For the report: what the members say of the same responses. The runs count without it. */
async function sampleDisagreement(
  { id, block }: PlannedRun,
  scorers: RunningScorers,
  { out, context }: Execution,
): Promise<void> {
  let scorer: Scorer | undefined;
  try {
    const { ensemble: addresses } = await scorers.addressesOf(block);
    scorer = await remoteScorer(addresses.split(',')[0]!);
    const { ensemble } = block;
    const pairs = ensemble && 'folder' in ensemble ? await builtinPairsOf(ensemble.folder) : undefined;
    await writeDisagreementSample(out, { runId: id, block: block.name, scorer, pairs });
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    context.terminal.note(`the report will not show how much the members disagree: ${error.message}`);
  } finally {
    scorer?.close();
  }
}

/** Does a run, and records it. @returns why the trainer service is away, where the run is for another */
async function doRun(
  worker: Worker,
  planned: PlannedRun,
  options: {
    config: ExperimentConfig;
    scorers: RunningScorers;
    execution: Execution;
    isHandedOver: boolean;
  } & RunWatcher,
): Promise<DomainError | undefined> {
  const { config, scorers, execution, isHandedOver, ...watcher } = options;
  const { out, trainers, resume, context } = execution;
  const request = runConfig(planned, config, {
    dataFolder: trainers ? undefined : commonFolder(config),
    addresses: await scorers.addressesOf(planned.block),
    keepRollouts: config.keepRollouts,
  });
  const id = trainers ? remoteRunId(config.name, planned) : planned.id;
  const begun = trainers ? resume || isHandedOver : await hasBegun(out, planned);
  try {
    const run = await worker.run({ id, config: request, begun, isHandedOver, signal: context.signal, ...watcher });
    if (trainers) await writeRunJson(out, planned.id, remoteRunJson(run));
    if (run.state === RunState.RUN_STATE_FAILED)
      context.terminal.note(`run ${id} failed: ${run.error?.message ?? 'no reason given'}`);
  } catch (error) {
    if (!(error instanceof DomainError) || error.kind !== 'unavailable' || context.signal.aborted) throw error;
    // The run has not failed: the service may even go on with it.
    if (trainers) return error;
    context.terminal.note(`run ${id} failed: ${error.message}`);
    await writeFailedRun(out, planned, error.message);
  }
  return undefined;
}

async function startWorkers(
  config: ExperimentConfig,
  todo: PlannedRun[],
  scorers: RunningScorers,
  { out, workers, trainers, services }: Execution,
): Promise<Worker[]> {
  if (trainers) return trainers.map(remoteWorker);
  const { ensemble, judge } = await scorers.addressesOf(todo[0]!.block);
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
