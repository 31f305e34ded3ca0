import { parameterCount, readModelConfig } from '@surefoot/language-model';
import type { FitOptions, FitProgress, FitReport, MemberEvaluation } from '@surefoot/reward';
import { createComputeWorker, workerFile, type ComputeWorker } from '@surefoot/service';
import { computesOnOneProcessor, type Backend, type BackendName, type BackendOptions } from '@surefoot/tensor';
import type { Context } from '../command';
import type { Progress } from '../progress';
import type { FitProcedures } from './fit-thread';
import { interruptible } from './interruptible';
import { machine } from './machine';
import { describeBackend } from './open-backend';

type Thread = ComputeWorker<FitProcedures>;

/** A fit, and how it is to be done. */
interface FitJob {
  /** Of the progress. */
  label: string;
  backend: BackendName;
  options: FitOptions;
  /** Most members at once, where others need processors meanwhile. */
  atOnce?: number;
}

/**
 * Fits an ensemble with progress: on wasm, which computes on one processor a heap, so many members at once as there are
 * processors for them, each in a thread of its own. The folder gets the bytes of one member after the other.
 *
 * @throws Interrupted after Ctrl-C; as `fitEnsemble`, and one member that diverges ends all
 */
export async function computeFit(
  { label, backend, options, atOnce = Infinity }: FitJob,
  { terminal, signal, env }: Context,
): Promise<FitReport> {
  const { threads, requireGpu } = machine(env);
  const { members } = options;
  const started: Thread[] = [];
  let fittedBefore = 0;
  let computes: Backend | undefined;
  let progress: Progress | undefined;
  let stage: 'trunk' | 'texts' | 'members' | undefined;
  let memberSteps = 0;
  const report = ({ member, steps, loss }: FitProgress) => {
    if (!progress && computes) terminal.note(`${label}: ${describeBackend(computes)}`);
    const now = typeof member === 'number' ? 'members' : member;
    if (now !== stage) {
      progress?.finish();
      stage = now;
      const [name, total] = now === 'members' ? [label, members * steps] : [`${label}, ${now}`, steps];
      progress = terminal.progress(name, total, now === 'texts' ? 'passes' : 'steps');
      // Texts that members are not fitted to come after the first of them.
      if (now === 'members') progress.advance(fittedBefore * steps + memberSteps);
    }
    if (now === 'members') memberSteps += 1;
    progress?.advance(1, loss === null ? undefined : `loss ${loss.toFixed(3)}`);
  };
  const procedures = { report, warn: (message: string) => terminal.note(message) };
  const job = { ...options, created: new Date().toISOString() };
  const start = async (name: BackendName, how: BackendOptions): Promise<[Thread, Backend]> => {
    const thread = createComputeWorker<FitProcedures>(workerFile(__dirname, 'fit-thread'), { procedures });
    started.push(thread);
    return [thread, await thread.call('open', { name, backend: how, options: job })];
  };

  async function fit(): Promise<FitReport> {
    // Heads read states of one trunk, which a thread computes once for all of them.
    const heaps = options.kind === 'heads' ? 1 : Math.min(members, threads, atOnce);
    const [first, opened] = await start(backend, {
      threads,
      requireGpu,
      heaps,
      parameters: await parametersOf(options),
    });
    computes = opened;
    const missing = await first.call('begin', undefined);
    fittedBefore = members - missing.length;
    const count = computesOnOneProcessor(opened) ? Math.min(missing.length, heaps) : 1;
    const others = Array.from({ length: Math.max(0, count - 1) }, async () => {
      const [thread] = await start(opened.name, { kernelBuild: opened.kernelBuild, heaps });
      return thread;
    });
    const evaluations: MemberEvaluation[] = [];
    let next = 0;
    const fitMembers = async (thread: Thread) => {
      while (next < members) {
        const k = next++;
        evaluations[k] = await thread.call('fitMember', k);
      }
    };
    await Promise.all([fitMembers(first), ...others.map(async (thread) => fitMembers(await thread))]);
    return first.call('finish', evaluations);
  }

  try {
    return await interruptible(fit(), signal);
  } finally {
    progress?.finish();
    await Promise.all(started.map((thread) => thread.close()));
  }
}

/** How large the models of a fit are; undefined where neither a base nor a geometry is given, which opening the fit refuses. */
async function parametersOf({ base, config }: FitOptions): Promise<number | undefined> {
  const geometry = config ?? (base === undefined ? undefined : await readModelConfig(base));
  return geometry && parameterCount({ ...geometry, head: 'reward' });
}
