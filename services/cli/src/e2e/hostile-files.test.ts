import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hostileFiles, writeSound, type HostileFile } from './hostile-files';
import { program, workFolder, type Ended } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const at = (...path: string[]) => join(work.path, ...path);

const isLinux = process.platform === 'linux';
/** Many times what a sound file takes, and far less than what these files would. */
const limits = { seconds: 30, megabytes: 1000 };
const atOnce = 2;

/** Writes the highest memory of the process that it is loaded into. */
const measure = `
const { readFileSync, writeFileSync } = require('node:fs');
if (require('node:worker_threads').isMainThread) process.on('exit', () => {
  const [, kilobytes] = /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
  writeFileSync(process.env.SUREFOOT_PEAK_FILE, kilobytes);
});
`;

interface BoundedEnd extends Ended {
  signal: NodeJS.Signals | null;
  megabytes?: number;
  /** What the command has written. */
  created: string[];
}
const ends = new Map<string, BoundedEnd>();

/** Runs a command that is killed where it takes too long. */
async function bounded(words: string[], cwd: string): Promise<BoundedEnd> {
  const before = await readdir(cwd);
  const peak = `${cwd}.peak`;
  const env = {
    ...process.env,
    ...{ SUREFOOT_BACKEND: 'wasm', SUREFOOT_THREADS: '1', SUREFOOT_PEAK_FILE: peak },
    ...(isLinux && { NODE_OPTIONS: `--require ${at('measure.cjs')}` }),
  };
  const child = spawn(process.execPath, [program, ...words], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (written.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (written.stderr += data.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), limits.seconds * 1000);
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  const created = (await readdir(cwd)).filter((name) => !before.includes(name));
  const megabytes = existsSync(peak) ? Number(await readFile(peak, 'utf8')) / 1024 : undefined;
  return { status, signal, ...written, created, ...(megabytes !== undefined && { megabytes }) };
}

async function meet({ title, of = 'base', prepare, words }: HostileFile, place: string): Promise<void> {
  const folder = join(place, 'hostile');
  await mkdir(place);
  if (of !== 'nothing') await cp(at(of), folder, { recursive: true });
  await prepare(folder);
  ends.set(
    title,
    await bounded(words ?? ['logprobs', '--model', 'hostile', '--in', '../good.jsonl', '--out', 'out'], place),
  );
  await rm(place, { recursive: true });
}

beforeAll(async () => {
  work = await workFolder();
  await writeFile(at('measure.cjs'), measure);
  await writeSound(work.path);
  const waiting = [...hostileFiles.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await meet(next[1], at(`case-${next[0]}`));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}, 600_000);
afterAll(() => work.remove());

test('what the hostile ones are made of is sound', async () => {
  for (const words of [
    ['logprobs', '--model', 'base', '--in', 'good.jsonl'],
    ['score', '--ensemble', 'ensemble', '--in', 'good.jsonl'],
    ['tokenize', '--model', 'base', '--in', 'good-text.jsonl'],
  ])
    expect(await bounded(words, work.path)).toMatchObject({ status: 0, stderr: '' });
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
    if (isLinux) expect(megabytes).toBeLessThan(limits.megabytes);
  });
});
