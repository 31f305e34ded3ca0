import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { makeFolder } from '@surefoot/files';
import type { Run } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import type { BackendName } from '@surefoot/tensor';
import type { Context } from '../command';
import { threadsOfEach } from '../compute/machine';
import { Interrupted } from '../failure';
import { withClaim } from '../local/pid-file';
import { withLocalServices } from '../local/services';
import type { RunFile } from './config';
import { refuseUnreadable } from './prompt-files';
import { commonFolder, runConfig } from './run-config';
import { hasBegun, runsFolder } from './runs-file';
import { sayOnce } from './run-warnings';
import { countMembers } from './scorer-description';
import { refuseFolders, refuseUnfit } from './scorer-fit';
import { scorerProcesses, startScorers } from './scorers';
import { localWorker, remoteWorker, type Worker } from './trainers';

/** How to do a single run. */
export interface SingleRunOptions {
  id: string;
  resume: boolean;
  backend: BackendName;
}

/** Does a run in processes of its own, under `out/runs`. @throws as `executeRuns` */
export async function runLocally(
  file: RunFile,
  out: string,
  { id, resume, backend }: SingleRunOptions,
  context: Context,
): Promise<Run> {
  const { block, judge } = file;
  if (!block.ensemble)
    throw new DomainError('invalid_argument', `${file.file}: ensemble: a folder or HOST:PORT is needed`);
  // A service that is not up yet is asked by the trainer.
  if ('folder' in block.ensemble) refuseUnfit(file, await countMembers(block.ensemble.folder), file);
  await refuseUnreadable(file);
  return withClaim(out, async (claim) => {
    const begun = await hasBegun(out, { id });
    if (begun && !resume)
      throw new DomainError('already_exists', `${out} holds this run already: add --resume or choose another --out`);
    const threads = threadsOfEach(context.env, 1 + scorerProcesses({ judge }, [block], 1));
    return withLocalServices(join(out, 'logs'), { claim, backend, threads, context }, async (services) => {
      const scorers = startScorers(services, { judge });
      await makeFolder(runsFolder(out));
      const addresses = await scorers.addressesOf(block);
      const worker = await localWorker(services, 'trainer', {
        SUREFOOT_RUNS_DIR: realpathSync(runsFolder(out)),
        SUREFOOT_DATA_DIR: commonFolder(file),
        SUREFOOT_ENSEMBLE_ADDRESS: addresses.ensemble,
        SUREFOOT_JUDGE_ADDRESS: addresses.judge || 'none',
      });
      const options = { dataFolder: commonFolder(file), addresses, keepRollouts: file.keepRollouts };
      const config = runConfig(file, file, options);
      const task = { id, config, begun, iterations: file.method.ppo.iterations };
      return Promise.race([watched(worker, task, context), scorers.failed]).catch((error: unknown) => {
        throw context.signal.aborted ? new Interrupted(`interrupted: go on with --resume --out ${out}`) : error;
      });
    });
  });
}

/** Does a run on a trainer service. */
export async function runRemotely(
  file: RunFile,
  address: string,
  { id, resume }: SingleRunOptions,
  context: Context,
): Promise<Run> {
  const { block, judge } = file;
  refuseFolders(
    [
      ['ensemble', block.ensemble],
      ['judge', judge],
    ],
    file.file,
  );
  const at = (location: typeof judge) => (location && 'address' in location ? location.address : '');
  const config = runConfig(file, file, {
    addresses: { ensemble: at(block.ensemble), judge: at(judge) },
    keepRollouts: file.keepRollouts,
  });
  const worker = remoteWorker(address);
  const task = { id, config, begun: resume, iterations: file.method.ppo.iterations };
  const goesOn = `run ${id} goes on at ${address}: surefoot runs watch ${id} --address ${address}, or runs cancel`;
  return watched(worker, task, context).catch((error: unknown) => {
    throw error instanceof Interrupted ? new Interrupted(`interrupted: ${goesOn}`) : error;
  });
}

async function watched(
  worker: Worker,
  { iterations, ...task }: { id: string; config: ReturnType<typeof runConfig>; begun: boolean; iterations: number },
  { terminal, signal }: Context,
): Promise<Run> {
  const progress = terminal.progress(task.id, iterations, 'iterations');
  let seen = 0;
  const onWarnings = sayOnce(terminal.note);
  try {
    return await worker.run({
      ...task,
      signal,
      onWarnings,
      onStage(stage) {
        progress.advance(0, stage ? `${stage.name} ${stage.done}/${stage.total}` : '');
      },
      onIteration({ iteration, metrics }) {
        const kl = metrics['objective/kl'];
        progress.advance(iteration - seen, kl === undefined ? '' : `KL ${kl.toFixed(2)}`);
        seen = iteration;
      },
    });
  } finally {
    progress.finish();
    worker.close();
  }
}
