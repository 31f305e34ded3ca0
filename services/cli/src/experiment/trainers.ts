import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import type { Run, RunConfig } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { Interrupted } from '../failure';
import type { LocalServices } from '../local/services';
import { createTrainerClient, hasEnded, type RunWatcher, type TrainerClient } from '../trainer-client';

/** Something that does one run after another: a trainer service, or a child process that is started anew when it dies. */
export interface Worker {
  /** As messages call it. */
  name: string;
  /**
   * Does a run to its end.
   *
   * @param begun true where the run has a folder already: it is then continued
   * @throws DomainError unavailable where the trainer cannot be kept alive; whatever it answers to a wrong request
   */
  run(task: RunTask): Promise<Run>;
  close(): void;
}

/** One run for a worker. */
export interface RunTask extends RunWatcher {
  id: string;
  config: RunConfig;
  begun: boolean;
  /** True where another trainer, which may share this one's runs directory, was lost in it. */
  isHandedOver?: boolean;
  signal: AbortSignal;
}

/** How often a trainer that dies in a run does the run again. */
const restarts = 2;

/** How long a trainer service may be away when a run is to start there: as long as one that is being watched. */
const patienceMs = 10_000;
/** How long a lost trainer on another host may still count as the one that works on its run, and a little more. */
const handOverMs = 25_000;
const tryAgainMs = 1_000;

/** A worker at the address of a trainer service. One that is started again there goes on with the run. */
export function remoteWorker(address: string): Worker {
  const client = createTrainerClient(address);
  return {
    name: `trainer ${address}`,
    async run(task) {
      for (let attempt = 0; attempt <= restarts; attempt += 1) {
        await startPatiently(client, { ...task, begun: task.begun || attempt > 0 });
        const run = await follow(client, task);
        if (run && hasEnded(run)) return run;
      }
      throw new DomainError('unavailable', `it stopped ${restarts + 1} times in the middle of run ${task.id}`);
    },
    close: () => client.close(),
  };
}

/** Starts a run at a service that may be away for a moment. @throws as `TrainerClient.start` */
async function startPatiently(client: TrainerClient, task: RunTask): Promise<Run> {
  const { signal, isHandedOver } = task;
  const mayPass = (error: unknown) =>
    error instanceof DomainError &&
    (error.kind === 'unavailable' || (isHandedOver && error.kind === 'failed_precondition'));
  let begun = task.begun;
  for (let until = Infinity; ;) {
    try {
      return await startRun(client, { ...task, begun });
    } catch (error) {
      until = Math.min(until, Date.now() + (isHandedOver ? handOverMs : patienceMs));
      if (!mayPass(error) || Date.now() > until) throw error;
      // A call whose answer was lost may have queued the run.
      begun = true;
    }
    await sleep(tryAgainMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw new Interrupted();
  }
}

/** What a run came to; undefined where the service has come back without it. @throws as `TrainerClient.watch` */
async function follow(client: TrainerClient, { id, signal, ...watcher }: RunTask): Promise<Run | undefined> {
  return client.watch(id, signal, watcher).catch((error: unknown) => {
    if (error instanceof DomainError && error.kind === 'not_found') return undefined;
    throw error;
  });
}

/** A worker that is a child process. */
export async function localWorker(services: LocalServices, name: string, env: NodeJS.ProcessEnv): Promise<Worker> {
  const start = async () => {
    const child = await services.start('policy-trainer', name, env);
    return { child, client: createTrainerClient(child.address) };
  };
  let trainer = await start();
  return {
    name,
    async run(task) {
      for (let attempt = 0; ; attempt += 1) {
        const died = new AbortController();
        void trainer.child.ended.then(() => died.abort());
        try {
          const signal = AbortSignal.any([task.signal, died.signal]);
          return await runOn(trainer.client, { ...task, signal, begun: task.begun || attempt > 0 });
        } catch (error) {
          // The connection may break a moment before the end of the process is known.
          await Promise.race([trainer.child.ended, sleep(1_000)]);
          if (task.signal.aborted || !died.signal.aborted) throw error;
          trainer.client.close();
          if (attempt === restarts) throw trainerDied(name, await trainer.child.ended, error);
          trainer = await start();
        }
      }
    },
    close: () => trainer.client.close(),
  };
}

async function runOn(client: TrainerClient, task: RunTask): Promise<Run> {
  await startRun(client, task);
  const run = await client.watch(task.id, task.signal, task);
  if (hasEnded(run)) return run;
  throw new DomainError('unavailable', `the trainer stopped in the middle of run ${task.id}: go on with --resume`);
}

function startRun(client: TrainerClient, { id, config, begun }: RunTask): Promise<Run> {
  return client.start(id, config, { resume: begun }).catch((error: unknown) => {
    if (!(error instanceof DomainError) || error.kind !== 'already_exists') throw error;
    const message = `${client.address} has a run "${id}" already: choose another "name" in the configuration, or add --resume`;
    throw new DomainError('already_exists', message, { cause: error });
  });
}

function trainerDied(name: string, reason: string, cause: unknown): DomainError {
  return new DomainError('unavailable', `${name} ${reason} ${restarts + 1} times in one run: see its log`, { cause });
}
