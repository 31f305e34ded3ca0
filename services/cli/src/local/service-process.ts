import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { DomainError } from '@surefoot/errors';
import { makeFolder } from '@surefoot/files';
import { Interrupted, throwIfInterrupted } from '../failure';

/** The services that this package can start. */
export type ServiceName = 'reward-ensemble' | 'judge' | 'policy-trainer';

/** A service that runs as our child. */
export interface ServiceProcess {
  name: string;
  pid: number;
  /** `host:port` that it listens on. */
  address: string;
  /** Settles when the process has ended, whoever ended it. */
  ended: Promise<string>;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

const startMs = 180_000;
const stopMs = 5_000;

/** The program of a service. */
export function serviceMain(service: ServiceName): string {
  return resolve(__dirname, '../../..', service, 'dist', 'main.js');
}

/**
 * Starts a service on a free port and waits until it listens.
 *
 * @param settings.log file that receives what it writes
 * @throws DomainError unavailable with the reason that it gave, where it does not come up
 */
export async function startService(
  service: ServiceName,
  settings: { name: string; env: NodeJS.ProcessEnv; log: string; signal: AbortSignal },
): Promise<ServiceProcess> {
  const { name, env, log, signal } = settings;
  await makeFolder(dirname(log));
  throwIfInterrupted(signal);
  const child = spawn(process.execPath, [serviceMain(service)], {
    env: { SUREFOOT_ADDRESS: '127.0.0.1:0', ...env, SUREFOOT_EXIT_WITH_PARENT: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C is for us: we end our children when their work is stored.
    detached: true,
  });
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<string>((settle) => {
    child.once('exit', (code, by) => settle(by ? `ended by ${by}` : `ended with status ${code}`));
    child.once('error', (error) => settle(error.message));
  });
  const stop = () => stopChild(child, ended);
  try {
    const address = await untilListening(child, { service, name, log, ended, signal });
    return { name, pid: child.pid as number, address, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilListening(
  child: ChildProcess,
  settings: { service: ServiceName; name: string; log: string; ended: Promise<string>; signal: AbortSignal },
): Promise<string> {
  const { service, name, log, ended, signal } = settings;
  const file = createWriteStream(log, { flags: 'a' });
  file.on('error', () => undefined); // a log that cannot be written stops no service
  let lastProblem = '';
  let timer: NodeJS.Timeout | undefined;
  let interrupt = () => {};
  return new Promise<string>((settle, reject) => {
    const fail = (reason: string) =>
      reject(new DomainError('unavailable', `${name} did not start: ${lastProblem || reason}; its log is ${log}`));
    timer = setTimeout(() => fail(`not ready after ${startMs / 1000} s`), startMs);
    interrupt = () => reject(new Interrupted());
    signal.addEventListener('abort', interrupt, { once: true });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      file.write(`${line}\n`);
      const { msg, address } = parseLogLine(line);
      if (msg === 'listening' && address) settle(address);
    });
    // A service that cannot start says so in one line, after its own name.
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      file.write(`${line}\n`);
      lastProblem ||= line.slice(line.startsWith(`${service}: `) ? service.length + 2 : 0);
    });
    // Its last line may arrive after its end.
    void ended.then((reason) => setTimeout(() => fail(reason), 50));
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', interrupt);
  });
}

function parseLogLine(line: string): { msg?: string; address?: string } {
  try {
    return JSON.parse(line) as { msg?: string; address?: string };
  } catch {
    return {}; // not one of our log lines
  }
}

async function stopChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.pid === undefined) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await ended;
  clearTimeout(timer);
}
