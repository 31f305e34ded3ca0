import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { parameterCount, readModelConfig } from '@surefoot/language-model';
import { backendIdentity, openBackend, type BackendName } from '@surefoot/tensor';
import type { Context } from '../command';
import { machine, threadsOfEach } from '../compute/machine';
import { withClaim, type Claim } from '../local/pid-file';
import { withLocalServices } from '../local/services';
import type { ExperimentConfig, Block } from './config';
import { runToSample } from './disagreement-sample';
import { executeRuns } from './execute';
import { recordedThreads, writeExperimentFile } from './experiment-file';
import { planRuns, remoteRunId, runOfIndex, type PlannedRun } from './plan';
import { refuseUnreadable } from './prompt-files';
import { collectRuns, writeRunsFile, type RunLine } from './runs-file';
import { describeEnsemble, describeJudge } from './scorer-description';
import { refuseFolders, refuseUnfit } from './scorer-fit';
import { scorerProcesses } from './scorers';

/** How to run an experiment. */
export interface ExperimentOptions {
  out: string;
  /** Trainer processes at once. */
  workers: number;
  /** Trainer services to use instead of own processes. */
  trainers?: string[];
  /** True to go on with what the folder holds. */
  resume: boolean;
  /** Only the run of this index. */
  index?: number;
  /** On `out`, where the caller holds it already. */
  claim?: Claim;
  backend: BackendName;
}

/** What an experiment came to. */
export interface ExperimentOutcome {
  plan: PlannedRun[];
  /** The runs that have ended, in index order. */
  lines: RunLine[];
}

/**
 * Runs an experiment, or one run of it, or what is left of it.
 *
 * @throws DomainError where the configuration does not fit what is in `out`, or nothing can run; failed runs are recorded
 */
export async function runExperiment(
  config: ExperimentConfig,
  options: ExperimentOptions,
  context: Context,
): Promise<ExperimentOutcome> {
  const { out, trainers, resume, index, claim, backend } = options;
  refuseWrongPlaces(config, trainers !== undefined);
  const ensembles = await Promise.all(config.blocks.map(describeBlock));
  const plan = planRuns(
    config,
    ensembles.map(({ members }) => members),
  );
  for (const planned of plan) refuseUnfit(planned, ensembles[config.blocks.indexOf(planned.block)]!.members, config);
  if (trainers)
    for (const planned of plan) remoteRunId(config.name, planned); // refused before anything starts
  else await refuseUnreadable(config);
  const wanted = index === undefined ? plan : [runOfIndex(plan, index)];
  // Trainer services keep the responses, and one member disagrees with none.
  const compared = config.blocks.filter(
    (block, i) => !trainers && ensembles[i]!.members > 1 && wanted.some((planned) => planned.block === block),
  );
  const judge = config.judge && (await describeJudge(config.judge));
  const workers = index === undefined ? Math.min(options.workers, plan.length) : 1;
  // By the configuration, not by what is left to do or which run is wanted, so that all compute as the experiment began.
  const processes = workers + scorerProcesses(config, config.blocks, workers);
  // The machine or the workers may be others than those it began with.
  const goesOn = (resume || index !== undefined) && !context.env['SUREFOOT_THREADS'];
  const threads = (goesOn ? await recordedThreads(out) : undefined) ?? threadsOfEach(context.env, processes);
  const computes = trainers ? 'remote' : await trainersBackend(backend, config.policy, { threads, env: context.env });
  const surroundings = { ensembles, judge, backend: computes, threads };
  // Runs by index share the folder: each claims its own part of it.
  const part = index === undefined ? undefined : `index-${index}`;
  const work = async (held: Claim) => {
    await writeExperimentFile(out, config, surroundings, {
      resume: resume || index !== undefined,
      shared: index !== undefined,
    });
    const ended = await collectRuns(out, plan);
    const completed = new Set(ended.filter(({ status }) => status === 'completed').map((line) => line.index));
    const todo = wanted.filter((planned) => !completed.has(planned.index));
    const unsampled = await Promise.all(compared.map(({ name }) => runToSample(out, name, ended)));
    if (todo.length > 0 || unsampled.some((run) => run !== undefined))
      await withLocalServices(join(out, 'logs', part ?? ''), { claim: held, backend, threads, context }, (services) =>
        executeRuns(config, plan, todo, { ...options, compared, services, context }),
      );
    return { plan, lines: await writeRunsFile(out, plan) };
  };
  return claim ? work(claim) : withClaim(out, work, part);
}

async function describeBlock({ ensemble }: Block) {
  // A trainer service with its own ensemble says nothing of it before a run: its member 0 is used.
  return ensemble ? describeEnsemble(ensemble) : { members: 1, digest: null };
}

/** Name of what the trainers will compute with, and in brackets what else decides the bits. */
async function trainersBackend(
  name: BackendName,
  policy: string,
  { threads, env }: { threads: number; env: NodeJS.ProcessEnv },
): Promise<string> {
  const parameters = parameterCount(await readModelConfig(policy));
  const backend = await openBackend(name, { threads, parameters, requireGpu: machine(env).requireGpu });
  // This process may have opened it before, with other threads.
  const threadsThere = Number(env['TF_NUM_INTRAOP_THREADS']) || threads;
  return backendIdentity({ ...backend, threads: threadsThere }).replace(/ (.*)/, ' ($1)');
}

function refuseWrongPlaces({ blocks, judge, file }: ExperimentConfig, remote: boolean): void {
  if (remote)
    refuseFolders(
      [...blocks.map(({ name, ensemble }) => [`ensemble of block ${name}`, ensemble] as const), ['judge', judge]],
      file,
    );
  if (!remote && blocks.some(({ ensemble }) => !ensemble))
    throw new DomainError('invalid_argument', 'every block needs an ensemble: a folder or HOST:PORT');
}
