import { createComputeWorker, workerFile } from '@surefoot/service';
import type { Backend, BackendName } from '@surefoot/tensor';
import type { Context } from '../command';
import type { Progress } from '../progress';
import { interruptible } from './interruptible';
import { machine } from './machine';
import { describeBackend } from './open-backend';
import type { ComputeProcedures } from './thread';

/** How far a computation has come. */
export interface StepReport {
  done: number;
  total: number;
  detail?: string;
}

type JobOptions<Name extends keyof ComputeProcedures> = Parameters<ComputeProcedures[Name]>[0]['options'];
type JobResult<Name extends keyof ComputeProcedures> = Awaited<ReturnType<ComputeProcedures[Name]>>;

/**
 * Runs a long computation in a thread of its own, with progress.
 *
 * @param options.label of the progress
 * @throws Interrupted after Ctrl-C; whatever the computation throws
 */
export async function compute<Name extends keyof ComputeProcedures>(
  name: Name,
  job: { label: string; backend: BackendName; options: JobOptions<Name> },
  { terminal, signal, env }: Context,
): Promise<JobResult<Name>> {
  let backend: Backend | undefined;
  let progress: Progress | undefined;
  let before = 0;
  const report = ({ done, total, detail }: StepReport) => {
    if (!progress && backend) terminal.note(`${job.label}: ${describeBackend(backend)}`);
    progress ??= terminal.progress(job.label, total, 'steps');
    progress.advance(done - before, detail);
    before = done;
  };
  const opened = (which: Backend) => void (backend = which);
  const procedures = { report, opened };
  const thread = createComputeWorker<ComputeProcedures>(workerFile(__dirname, 'thread'), { procedures });
  try {
    const input = { backend: job.backend, machine: machine(env), options: job.options };
    return (await interruptible(thread.call(name, input as never), signal)) as JobResult<Name>;
  } finally {
    progress?.finish();
    await thread.close();
  }
}
