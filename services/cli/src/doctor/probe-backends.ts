import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DomainError } from '@surefoot/errors';
import { workerFile } from '@surefoot/service';
import { inspectMachine, type Backend, type BackendName } from '@surefoot/tensor';
import type { ProbeResult } from './probe';

/** A backend as it opens here. */
export interface OpenedBackend {
  backend: Backend;
  /** 10^9 floating-point operations a second of a float32 matrix product. */
  matmulGflops: number;
}

/** Every backend as it opens, or why it does not. */
export type Probes = Map<BackendName, OpenedBackend | DomainError>;

/** How a process is started, and what ends it. */
interface Start {
  /** Processor threads for one operation. */
  threads: number;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

/** A software adapter compiles its shaders first. */
const patienceMs = 60_000;

/** Opens every backend and measures it, one after the other, each in a process of its own. */
export async function probeBackends(start: Start): Promise<Probes> {
  const { tensorflow, webgpu } = inspectMachine();
  const native = async (name: 'tensorflow' | 'webgpu', { problem, cure }: { problem?: string; cure?: string }) =>
    problem === undefined ? await probe(name, start) : failure(`${problem}; ${cure}`);
  const first = await native('tensorflow', tensorflow);
  const second = await native('webgpu', webgpu);
  return new Map([
    ['tensorflow', first],
    ['webgpu', second],
    ['wasm', await probe('wasm', start)],
    ['cpu', await probe('cpu', start)],
  ]);
}

async function probe(name: BackendName, { threads, env, signal }: Start): Promise<OpenedBackend | DomainError> {
  // The result comes by a channel of its own: drivers print on both streams.
  const child = spawn(process.execPath, [workerFile(__dirname, 'probe'), String(threads), name], {
    ...{ env, signal, timeout: patienceMs },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let result: ProbeResult | undefined;
  let stderr = '';
  child.on('message', (message) => (result = message as ProbeResult));
  child.stderr!.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-4096)));
  // The channel may be read to its end after the process has closed, or before.
  const [[status, by]] = (await Promise.all([once(child, 'close'), once(child, 'disconnect')])) as [
    [number | null, NodeJS.Signals | null],
    unknown,
  ];
  if (!result) return failure(broken(name, by ?? `status ${status}`, stderr));
  return 'problem' in result ? failure(result.problem) : result;
}

function broken(name: BackendName, end: string, stderr: string): string {
  const said = stderr.trim().split('\n').at(-1);
  const cures: Partial<Record<BackendName, string>> = {
    tensorflow: 'run npm run install:tensorflow -- --force, or use the wasm backend',
    webgpu: 'update the driver of the graphics card, or use the wasm backend',
  };
  return `opening it ends the process (${end}${said ? `: ${said}` : ''}); ${cures[name] ?? 'run npm ci'}`;
}

function failure(message: string): DomainError {
  return new DomainError('failed_precondition', message);
}
