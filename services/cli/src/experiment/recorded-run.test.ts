import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { DomainError } from '@surefoot/errors';
import { ppoDefaults } from '@surefoot/ppo';
import { planRuns } from './plan';
import { recordedRun } from './recorded-run';
import { runJsonPath } from './runs-file';
import type { RunTask, Worker } from './trainers';

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'surefoot-recorded-'));
});
afterEach(() => rm(out, { recursive: true }));

const method = { name: 'vanilla', ppo: ppoDefaults };
const [planned] = planRuns({ blocks: [{ name: 'a' }], methods: [method], runs: 1, seed: 0 }, [2]);
const notes: string[] = [];
const terminal = {
  note: (line: string) => void notes.push(line),
  print: () => Promise.resolve(),
  progress: () => ({ advance: () => undefined, finish: () => undefined }),
};
const lost = new DomainError('unavailable', 'the trainer stopped in the middle');
/** A worker whose trainer ends before its run; `before` is what happens meanwhile. */
const losing = (before: () => void): Worker => ({
  name: 'trainer-1',
  close: () => undefined,
  run: async () => {
    before();
    throw lost;
  },
});
const over = () => new AbortController();
const run = (worker: Worker, { signal }: AbortController, isRemote = false) =>
  recordedRun(worker, planned!, { id: planned!.id, signal } as RunTask, { out, isRemote, terminal });

test('a run whose trainer cannot be kept alive has failed, and its record says why', async () => {
  expect(
    await run(
      losing(() => undefined),
      over(),
    ),
  ).toBeUndefined();
  expect(JSON.parse(await readFile(runJsonPath(out, planned!.id), 'utf8'))).toMatchObject({
    status: 'failed',
    error: { message: lost.message },
  });
  expect(notes).toEqual([`run vanilla-a-0 failed: ${lost.message}`]);
});

test('a run whose trainer is stopped because the experiment is over has not failed', async () => {
  for (const isRemote of [false, true]) {
    const ending = over();
    const worker = losing(() => ending.abort());
    await expect(run(worker, ending, isRemote)).rejects.toBe(lost);
    expect(existsSync(runJsonPath(out, planned!.id))).toBe(false);
  }
});

test('a run whose trainer service is away is for another', async () => {
  expect(
    await run(
      losing(() => undefined),
      over(),
      true,
    ),
  ).toBe(lost);
  expect(existsSync(runJsonPath(out, planned!.id))).toBe(false);
});
