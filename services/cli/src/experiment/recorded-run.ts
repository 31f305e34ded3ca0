import { DomainError } from '@surefoot/errors';
import { RunState } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import type { Terminal } from '../terminal';
import type { PlannedRun } from './plan';
import { remoteRunJson } from './remote-run';
import { writeFailedRun, writeRunJson } from './runs-file';
import type { RunTask, Worker } from './trainers';

/**
 * Does a run, and sees that it is recorded in the experiment's folder.
 *
 * @param task.signal aborts when the experiment ends before its runs: what then breaks off has not failed
 * @param options.isRemote where the trainer is a service elsewhere
 * @returns why the trainer service is away, where the run is for another
 */
export async function recordedRun(
  worker: Worker,
  planned: PlannedRun,
  task: RunTask,
  { out, isRemote, terminal }: { out: string; isRemote: boolean; terminal: Terminal },
): Promise<DomainError | undefined> {
  try {
    const run = await worker.run(task);
    if (isRemote) await writeRunJson(out, planned.id, remoteRunJson(run));
    if (run.state === RunState.RUN_STATE_FAILED)
      terminal.note(`run ${task.id} failed: ${run.error?.message ?? 'no reason given'}`);
  } catch (error) {
    if (!(error instanceof DomainError) || error.kind !== 'unavailable' || task.signal.aborted) throw error;
    // The run has not failed: the service may even go on with it.
    if (isRemote) return error;
    terminal.note(`run ${task.id} failed: ${error.message}`);
    await writeFailedRun(out, planned, error.message);
  }
  return undefined;
}
