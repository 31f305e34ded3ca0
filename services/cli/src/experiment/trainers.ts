import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import type { Run, RunConfig } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import type { LocalServices } from '../local/services';
import { createTrainerClient, hasEnded, type RunWatcher, type TrainerClient } from '../trainer-client';

/** Something that does one run after another: a trainer service, or a child process that is started anew when it dies. */
export interface Worker {
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
  signal: AbortSignal;
}

/** How often a trainer that dies in a run is started again for it. */
const restarts = 2;

/** A worker at the address of a trainer service. */
export function remoteWorker(address: string): Worker {
  const client = createTrainerClient(address);
  return { run: (task) => runOn(client, task), close: () => client.close() };
}

/** A worker that is a child process. */
export async function localWorker(services: LocalServices, name: string, env: NodeJS.ProcessEnv): Promise<Worker> {
  const start = async () => {
    const child = await services.start('policy-trainer', name, env);
    return { child, client: createTrainerClient(child.address) };
  };
  let trainer = await start();
  return {
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

async function runOn(client: TrainerClient, { id, config, begun, signal, ...watcher }: RunTask): Promise<Run> {
  await client.start(id, config, { resume: begun }).catch((error: unknown) => {
    if (!(error instanceof DomainError) || error.kind !== 'already_exists') throw error;
    const message = `${client.address} has a run "${id}" already: choose another "name" in the configuration, or add --resume`;
    throw new DomainError('already_exists', message, { cause: error });
  });
  const run = await client.watch(id, signal, watcher);
  if (hasEnded(run)) return run;
  throw new DomainError('unavailable', `the trainer stopped in the middle of run ${id}: go on with --resume`);
}

function trainerDied(name: string, reason: string, cause: unknown): DomainError {
  return new DomainError('unavailable', `${name} ${reason} ${restarts + 1} times in one run: see its log`, { cause });
}
