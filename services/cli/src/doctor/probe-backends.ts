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

/** Opens every backend and measures it, one after the other, the native ones in processes of their own. */
export async function probeBackends(start: Start): Promise<Probes> {
  const { tensorflow, webgpu } = inspectMachine();
  const native = async (name: 'tensorflow' | 'webgpu', { problem, cure }: { problem?: string; cure?: string }) =>
    problem === undefined ? (await probe([name], start))[0]! : failure(`${problem}; ${cure}`);
  const first = await native('tensorflow', tensorflow);
  const second = await native('webgpu', webgpu);
  const [wasm, cpu] = await probe(['wasm', 'cpu'], start);
  return new Map([
    ['tensorflow', first],
    ['webgpu', second],
    ['wasm', wasm!],
    ['cpu', cpu!],
  ]);
}

async function probe(names: BackendName[], { threads, env, signal }: Start): Promise<(OpenedBackend | DomainError)[]> {
  const child = spawn(process.execPath, [workerFile(__dirname, 'probe'), String(threads), ...names], {
    ...{ env, signal, timeout: patienceMs },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-4096)));
  const [status, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  const lines = stdout.split('\n');
  return names.map((name, i) => {
    if (!lines[i]) return failure(broken(name, by ?? `status ${status}`, stderr));
    const result = JSON.parse(lines[i]) as ProbeResult;
    return 'problem' in result ? failure(result.problem) : result;
  });
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
