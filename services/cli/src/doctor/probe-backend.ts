import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DomainError } from '@surefoot/errors';
import { workerFile } from '@surefoot/service';
import type { Backend, BackendName } from '@surefoot/tensor';
import type { ProbeResult } from './probe';

/** A backend as it opens here. */
export interface OpenedBackend {
  backend: Backend;
  /** 10^9 floating-point operations a second of a float32 matrix product. */
  matmulGflops: number;
}

/** A software adapter compiles its shaders first. */
const patienceMs = 60_000;

/**
 * Opens a backend in a process of its own, and measures it.
 *
 * @param threads processor threads for one operation
 * @throws DomainError failed_precondition saying why it does not open, or how the process has ended
 */
export async function probeBackend(
  name: BackendName,
  threads: number,
  { env, signal }: { env: NodeJS.ProcessEnv; signal: AbortSignal },
): Promise<OpenedBackend> {
  const child = spawn(process.execPath, [workerFile(__dirname, 'probe'), name, String(threads)], {
    env,
    signal,
    timeout: patienceMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-4096)));
  const [status, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (status !== 0) throw new DomainError('failed_precondition', broken(name, by ?? `status ${status}`, stderr));
  const result = JSON.parse(stdout) as ProbeResult;
  if ('problem' in result) throw new DomainError('failed_precondition', result.problem);
  return result;
}

function broken(name: BackendName, end: string, stderr: string): string {
  const said = stderr.trim().split('\n').at(-1);
  const cures: Partial<Record<BackendName, string>> = {
    tensorflow: 'run npm run install:tensorflow -- --force, or use the wasm backend',
    webgpu: 'update the driver of the graphics card, or use the wasm backend',
  };
  return `backend ${name} ended the process that opened it (${end}${said ? `: ${said}` : ''}); ${cures[name] ?? 'run npm ci'}`;
}
