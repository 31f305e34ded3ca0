import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { Context } from '../command';
import { claimFolder } from './pid-file';
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
 * Claims `out`, runs `body` with services as child processes, and stops them whatever happens.
 *
 * @throws DomainError aborted where another process works in `out`; unavailable where a service does not start
 */
export async function withLocalServices<Result>(
  out: string,
  { backend, context }: { backend: string; context: Context },
  body: (services: LocalServices) => Promise<Result>,
): Promise<Result> {
  const claim = await claimFolder(out);
  const running: ServiceProcess[] = [];
  let closing = false;
  const start: LocalServices['start'] = async (service, name, env) => {
    if (closing) throw new DomainError('unavailable', `${name} is not started: its command is ending`);
    const settings = { ...context.env, SUREFOOT_BACKEND: backend, SUREFOOT_DRAIN_MS: '2000', ...env };
    const log = join(out, 'logs', `${name}.log`);
    const child = await startService(service, { name, env: settings, log, signal: context.signal });
    running.push(child);
    if (closing) await child.stop();
    await claim.add(name, child.pid);
    return child;
  };
  try {
    return await body({ start });
  } finally {
    closing = true;
    await Promise.all(running.map((child) => child.stop()));
    await claim.release();
  }
}
