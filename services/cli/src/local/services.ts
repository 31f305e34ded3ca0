import { join } from 'node:path';
import type { Context } from '../command';
import type { Claim } from './pid-file';
import { startService, type ServiceName, type ServiceProcess } from './service-process';

/** The services of one command, all of them stopped when it ends. */
export interface LocalServices {
  /**
   * Starts one and waits until it listens.
   *
   * @param name of its log file
   * @param env settings besides the backend
   */
  start(service: ServiceName, name: string, env: NodeJS.ProcessEnv): Promise<ServiceProcess>;
}

/**
 * Runs `body` with services as child processes, and stops them whatever happens.
 *
 * @param logs folder of their logs
 * @param options.claim on the folder they work in: it names them
 * @param options.threads processor threads of each
 * @throws DomainError unavailable where a service does not start
 */
export async function withLocalServices<Result>(
  logs: string,
  { claim, backend, threads, context }: { claim: Claim; backend: string; threads: number; context: Context },
  body: (services: LocalServices) => Promise<Result>,
): Promise<Result> {
  const ending = new AbortController();
  const signal = AbortSignal.any([context.signal, ending.signal]);
  const started: Promise<ServiceProcess>[] = [];
  const startOne: LocalServices['start'] = async (service, name, env) => {
    const common = { SUREFOOT_BACKEND: backend, SUREFOOT_THREADS: String(threads), SUREFOOT_DRAIN_MS: '2000' };
    const settings = { ...context.env, ...common, ...env };
    const child = await startService(service, { name, env: settings, log: join(logs, `${name}.log`), signal });
    await claim.add(name, child.pid).catch(async (error: unknown) => {
      await child.stop();
      throw error;
    });
    return child;
  };
  const start: LocalServices['start'] = (...service) => {
    const child = startOne(...service);
    started.push(child);
    return child;
  };
  try {
    return await body({ start });
  } finally {
    ending.abort();
    const children = await Promise.allSettled(started);
    await Promise.all(children.map((child) => child.status === 'fulfilled' && child.value.stop()));
  }
}
