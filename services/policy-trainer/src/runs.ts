import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { toStatus, type Logger } from '@surefoot/service';
import { resolveDataPath } from './data-path';
import { createLiveRun, type LiveRun, type RunEvent } from './live-run';
import { readMetrics } from './metrics-file';
import { claimRun } from './ownership';
import type { Run } from './run';
import type { RunExecution } from './run-execution';
import {
  createRunFolder,
  listCheckpoints,
  listRunIds,
  prepareFolder,
  readRun,
  removeRecord,
  runFiles,
  runFolder,
  writeRecord,
  writeSettings,
} from './run-folder';
import { createRunQueue } from './run-queue';
import { trajectoryOf } from './run-record';
import {
  resolveSettings,
  settingsDifferences,
  type ChosenSettings,
  type RunSettings,
  type RunDefaults,
} from './run-settings';
import type { TrainingJob } from './training-job';

/** The runs of a runs directory, some of them this process's own. */
export interface Runs {
  /**
   * Queues a run, or a run to be resumed. Resuming one that this process has, or one that is completed, gives it as it is. One that
   * ended before its first checkpoint is made anew, with or without `resume`.
   *
   * @param id empty = chosen here
   * @throws DomainError invalid_argument, not_found, already_exists, failed_precondition, resource_exhausted, unavailable
   */
  start(id: string, chosen: ChosenSettings, resume: boolean): Promise<Run>;
  /** Where the run's folder is, or would be. @throws DomainError invalid_argument where the id is no name */
  folder(id: string): string;
  /** @throws DomainError not_found */
  get(id: string): Promise<Run>;
  /** Newest first, at most 1,000. */
  list(): Promise<Run[]>;
  /** The run, its metrics from iteration `from` on, and what happens until it ends. @throws DomainError not_found */
  watch(id: string, from: number, signal: AbortSignal): AsyncGenerator<RunEvent>;
  /** @throws DomainError not_found; failed_precondition where the run has ended or is another process's */
  cancel(id: string): Promise<Run>;
  /** Drops what runs, which can be resumed, and forgets what waits. */
  close(): Promise<void>;
}

/** A live run with what this process holds for it. */
interface OwnRun {
  live: LiveRun;
  paths: TrainingJob['paths'];
  /** Gives the run's folder free for other processes. */
  release: () => Promise<void>;
  /** Set where another process has taken the run over. */
  lost: boolean;
}

const queueCapacity = 1024;
const listLimit = 1000;

/** @param options.execution computes one run at a time */
export async function openRuns(options: {
  runsDirectory: string;
  dataDirectory: string;
  defaults: RunDefaults;
  execution: RunExecution;
  logger: Logger;
}): Promise<Runs> {
  const { runsDirectory, dataDirectory, defaults, execution, logger } = options;
  await prepareFolder(runsDirectory);
  const queue = createRunQueue(queueCapacity);
  const own = new Map<string, OwnRun>();
  const starting = new Set<string>();
  let closing = false;

  async function start(id: string, chosen: ChosenSettings, resume: boolean): Promise<Run> {
    const name = id === '' ? `run-${randomUUID()}` : id;
    const folder = runFolder(runsDirectory, name);
    const settings = resolveSettings(chosen, defaults);
    const paths = await resolvePaths(dataDirectory, settings);
    const found = own.get(name)?.live.run() ?? (await readRun(runsDirectory, name));
    const isAnew = found !== undefined && !own.has(name) && (await neverBegan(found, folder));
    const before = isAnew ? undefined : found;
    if (before && !resume) throw taken(name);
    if (before) refuseOtherSettings(before, settings);
    if (before && (own.has(name) || before.state === 'completed')) return before;
    if (starting.has(name)) throw new DomainError('aborted', `run ${name} is being started by another call`);
    starting.add(name);
    try {
      await execution.check(settings);
      if (before) await writeSettings(folder, settings);
      else await createRunFolder(runsDirectory, name, settings, { replace: isAnew });
      return await enqueue(name, { folder, settings, paths, before });
    } finally {
      starting.delete(name);
    }
  }

  async function enqueue(
    id: string,
    {
      folder,
      settings,
      paths,
      before,
    }: { folder: string; settings: RunSettings; paths: TrainingJob['paths']; before?: Run },
  ): Promise<Run> {
    const { iteration, seconds } = before ?? { iteration: 0, seconds: 0 };
    const live = createLiveRun(folder, { id, state: 'queued', settings, iteration, seconds });
    const entry: OwnRun = { live, paths, release: async () => undefined, lost: false };
    try {
      entry.release = await claimRun(folder, () => {
        entry.lost = true;
        queue.cancel(id);
      });
      own.set(id, entry);
      queue.add(id, (signal) => work(entry, signal));
    } catch (error) {
      own.delete(id);
      await entry.release();
      if (!before) await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return live.run();
  }

  /** Computes a run and notes how it ended; never rejects. */
  async function work(entry: OwnRun, signal: AbortSignal): Promise<void> {
    const { live, paths } = entry;
    try {
      await removeRecord(live.folder);
      const { seconds, ...result } = await execution.execute({ live, paths, signal });
      await end(entry, { state: 'completed', result, seconds });
    } catch (error) {
      if (closing || entry.lost) await end(entry, { state: 'interrupted' });
      else if (signal.aborted) await end(entry, { state: 'cancelled' });
      else await end(entry, { state: 'failed', error: errorOf(error, live.run()) });
    }
  }

  function errorOf(error: unknown, { id }: Run): Run['error'] {
    logger.error({ run: id, err: error }, 'run failed');
    const { code, details } = toStatus(error);
    return { code, message: details };
  }

  /** Writes run.json, unless the run is to go on later, lets go of the run, and then tells its watchers. */
  async function end(entry: OwnRun, change: Partial<Run> & Pick<Run, 'state'>): Promise<void> {
    const { live } = entry;
    const { id } = live.run();
    let ended: Run = { ...live.run(), stage: undefined, ...change };
    try {
      if (change.state !== 'interrupted') {
        const lines = await readMetrics(join(live.folder, runFiles.metrics));
        ended = { ...ended, trajectory: trajectoryOf(lines) };
        await writeRecord(live.folder, ended);
      }
    } catch (error) {
      // The folder cannot say how the run ended, so that it counts as interrupted and can be resumed.
      ended = { ...ended, state: 'failed', error: ended.error ?? errorOf(error, ended) };
    }
    logger.info({ run: id, state: ended.state, iteration: ended.iteration }, 'run ended');
    await entry.release();
    own.delete(id);
    live.update(ended);
    live.end();
  }

  async function get(id: string): Promise<Run> {
    const run = own.get(id)?.live.run() ?? (await readRun(runsDirectory, id));
    if (!run) throw new DomainError('not_found', `there is no run ${id}`);
    return run;
  }

  async function* watch(id: string, from: number, signal: AbortSignal): AsyncGenerator<RunEvent> {
    // Subscribed before the file is read, so that no iteration falls between the two.
    const live = own.get(id)?.live;
    const events = live?.events(signal);
    const first = events?.next();
    try {
      const run = live?.run() ?? (await get(id));
      yield { run };
      let last = Math.max(0, from - 1);
      for (const line of await readMetrics(join(runFolder(runsDirectory, id), runFiles.metrics))) {
        if (line.iteration <= last || line.iteration > run.iteration) continue;
        yield { line };
        last = line.iteration;
      }
      if (!events) return yield { run };
      for (let next = await first!; !next.done; next = await events.next())
        if (!('line' in next.value) || next.value.line.iteration > last) yield next.value;
    } finally {
      void events?.return(undefined);
    }
  }

  async function cancel(id: string): Promise<Run> {
    const entry = own.get(id);
    if (!entry) {
      const run = await get(id);
      if (run.state === 'cancelled') return run;
      const reason = run.state === 'running' ? 'another process works on it' : `it is ${run.state}`;
      throw new DomainError('failed_precondition', `run ${id} cannot be cancelled: ${reason}`);
    }
    if (queue.cancel(id) === 'removed') await end(entry, { state: 'cancelled' });
    return entry.live.run();
  }

  return {
    start,
    folder: (id) => runFolder(runsDirectory, id),
    get,
    list: async () => {
      const runs: Run[] = [];
      for (const id of await listRunIds(runsDirectory, listLimit))
        await get(id).then(
          (run) => runs.push(run),
          (error: unknown) => logger.warn({ run: id, err: error }, 'run left out of the list'),
        );
      return runs;
    },
    watch,
    cancel,
    close: async () => {
      closing = true;
      const closed = queue.close();
      await execution.close();
      await closed;
      for (const entry of [...own.values()]) await end(entry, { state: 'interrupted' });
    },
  };
}

/** True of a run that nobody works on and that has nothing to go on from, as after a start with a wrong setting. */
async function neverBegan({ state }: Run, folder: string): Promise<boolean> {
  return state !== 'running' && state !== 'completed' && (await listCheckpoints(folder)).length === 0;
}

async function resolvePaths(root: string, settings: RunSettings): Promise<TrainingJob['paths']> {
  const file = (field: 'prompts' | 'evalPrompts' | 'gold', name: string) =>
    resolveDataPath(root, settings[field], { field: name, kind: 'file' });
  return {
    policy: await resolveDataPath(root, settings.policy, { field: 'policy', kind: 'folder' }),
    prompts: await file('prompts', 'prompts'),
    evalPrompts: await file('evalPrompts', 'eval_prompts'),
    gold: settings.gold === '' ? null : await file('gold', 'gold'),
  };
}

function refuseOtherSettings({ id, settings }: Run, now: RunSettings): void {
  const differences = settingsDifferences(settings, now);
  if (differences.length > 0)
    throw new DomainError(
      'failed_precondition',
      `run ${id} was started with other settings (${differences.join('; ')}): resume it with the same, or choose another id`,
    );
}

function taken(id: string): DomainError {
  return new DomainError('already_exists', `run ${id} exists: choose another id, or set resume`);
}
