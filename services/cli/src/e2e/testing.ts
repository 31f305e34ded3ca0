import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The program that users run. */
export const program = resolve(__dirname, '../../bin/surefoot.js');

/** What a command has left. */
export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A command that runs. */
export interface Running {
  child: ChildProcess;
  /** What it has written to stderr so far. */
  stderr: () => string;
  ended: Promise<Ended>;
}

/** Where and with what a command runs. */
export interface Surroundings {
  cwd: string;
  input?: string;
  /** Variables besides those of the tests' own environment; undefined for none of that name. */
  env?: NodeJS.ProcessEnv;
}

/** Starts a command in `cwd`. */
export function start(words: string[], { cwd, input = '', env }: Surroundings): Running {
  // eslint-disable-next-line no-restricted-properties -- a command inherits the environment of the tests
  const options = { cwd, env: { ...process.env, ...env }, stdio: 'pipe' } as const;
  const child = spawn(process.execPath, [program, ...words], options);
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (written.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (written.stderr += data.toString()));
  child.stdin.on('error', () => undefined).end(input);
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, ...written }));
  return { child, stderr: () => written.stderr, ended };
}

/** Runs a command in `cwd` to its end. */
export function surefoot(words: string[], options: Surroundings): Promise<Ended> {
  return start(words, options).ended;
}

/** A folder for one test file. */
export async function workFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'surefoot-e2e-')));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The smallest quickstart that still does everything. */
export const tinyQuickstart = [
  ...['quickstart', '--runs', '1', '--members', '2', '--iterations', '2', '--base-steps', '20', '--judge-pairs', '64'],
  ...['--reference-samples', '64', '--evaluation-samples', '64', '--workers', '2'],
];

/** Lines of runs.jsonl without what may differ between two runs of the same experiment: seconds. */
export async function timelessRuns(folder: string): Promise<string> {
  return (await readFile(join(folder, 'runs.jsonl'), 'utf8')).replace(/"seconds":[0-9.e-]+/g, '');
}

/** Waits until `condition` holds. @throws Error after two minutes, or with what the command said where it ends before */
export async function until(condition: () => boolean, { ended }: Running): Promise<void> {
  let early: Ended | undefined;
  void ended.then((result) => (early = result));
  const deadline = Date.now() + 120_000;
  while (!condition()) {
    if (early) throw new Error(`ended with status ${early.status}: ${early.stderr}`);
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((settle) => setTimeout(settle, 50));
  }
}

/** Expects a command to have done its work; otherwise shows what it said. */
export function expectDone({ status, stderr }: Ended): void {
  if (status !== 0) throw new Error(`ended with status ${status}: ${stderr}`);
}
