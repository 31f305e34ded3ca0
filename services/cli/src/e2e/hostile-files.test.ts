import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CommandEnd, GivenCommand } from './command-process';
import { hostileFiles, writeSound, type HostileFile } from './hostile-files';
import { program, workFolder, type Ended } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const at = (...path: string[]) => join(work.path, ...path);

/** Many times what a sound file takes, and far less than what these files would. */
const limits = { seconds: 30, megabytes: 1000 };
const atOnce = 2;

interface BoundedEnd extends Ended {
  signal: NodeJS.Signals | null;
  megabytes?: number;
  /** What the command has written. */
  created: string[];
}
const ends = new Map<string, BoundedEnd>();

/** For every command. */
const env = { ...process.env, SUREFOOT_BACKEND: 'wasm', SUREFOOT_THREADS: '1' };

/** A process that meets one command after the other, as a service meets requests; a new one where one had to be killed. */
function commandProcess() {
  const file = join(__dirname, '../../dist/e2e/command-process.js');
  let child: ChildProcess | undefined;
  return {
    async run(given: GivenCommand): Promise<Omit<BoundedEnd, 'created'>> {
      const running = (child ??= fork(file, { execArgv: ['--expose-gc'] }));
      const timer = setTimeout(() => running.kill('SIGKILL'), limits.seconds * 1000);
      try {
        return await new Promise((resolve) => {
          running.once('message', (end) => resolve({ signal: null, ...(end as CommandEnd) }));
          running.once('exit', (status, signal) => {
            child = undefined;
            resolve({ status, signal, stdout: '', stderr: '' });
          });
          running.send(given);
        });
      } finally {
        clearTimeout(timer);
        running.removeAllListeners('message').removeAllListeners('exit');
      }
    },
    stop: () => child?.kill(),
  };
}

/** Runs a command in a process of its own. */
async function alone({ words, cwd, env }: GivenCommand): Promise<Omit<BoundedEnd, 'created'>> {
  const child = spawn(process.execPath, [program, ...words], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (written.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (written.stderr += data.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), limits.seconds * 1000);
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { status, signal, ...written };
}

async function meet(
  { title, of = 'base', prepare, words }: HostileFile,
  cwd: string,
  run: typeof alone,
): Promise<void> {
  const folder = join(cwd, 'hostile');
  await mkdir(cwd);
  if (of !== 'nothing') await cp(at(of), folder, { recursive: true });
  await prepare(folder);
  const before = await readdir(cwd);
  const end = await run({
    words: words ?? ['logprobs', '--model', 'hostile', '--in', '../good.jsonl', '--out', 'out'],
    cwd,
    env,
  });
  const created = (await readdir(cwd)).filter((name) => !before.includes(name));
  ends.set(title, { ...end, created });
  await rm(cwd, { recursive: true });
}

/** Starting a process takes longer than most of these files: every so many have one of their own, the others share. */
const aloneEvery = 12;

beforeAll(async () => {
  work = await workFolder();
  await writeSound(work.path);
  const waiting = [...hostileFiles.entries()];
  const worker = async () => {
    const shared = commandProcess();
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, file] = next;
      await meet(file, at(`case-${i}`), i % aloneEvery === 0 ? alone : shared.run);
    }
    shared.stop();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}, 600_000);
afterAll(() => work.remove());

test('what the hostile ones are made of is sound', async () => {
  for (const words of [
    ['logprobs', '--model', 'base', '--in', 'good.jsonl'],
    ['score', '--raw', '--ensemble', 'ensemble', '--in', 'good.jsonl'],
    ['tokenize', '--model', 'base', '--in', 'good-text.jsonl'],
  ])
    expect(await alone({ words, cwd: work.path, env })).toMatchObject({ status: 0, stderr: '' });
});

describe('one clear line, in bounded time and memory, and nothing written:', () => {
  test.each(hostileFiles.map((file) => [file.title, file] as const))('%s', (title, { says }) => {
    const { megabytes, ...ended } = ends.get(title)!;
    expect(ended).toMatchObject({ status: 1, signal: null, stdout: '', created: [] });
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(ended.stderr).toContain('hostile');
    expect(ended.stderr).toMatch(says);
    expect(ended.stderr).not.toContain('unexpected');
    expect(ended.stderr.length).toBeLessThan(1000);
    if (megabytes !== undefined) expect(megabytes).toBeLessThan(limits.megabytes);
  });
});
