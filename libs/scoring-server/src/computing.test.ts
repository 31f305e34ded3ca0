import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { disposeEnsemble, loadEnsemble, scoreSequences } from '@surefoot/reward';
import { memberRanges, startComputing, type Computing, type LoadInput } from './computing';
import { createTestFolder, writeTestEnsemble } from './testing';

// A machine under load takes several times as long.
jest.setTimeout(60_000);

const folder = createTestFolder();
let three: string;
let one: string;
const open: Computing[] = [];
beforeAll(async () => {
  three = await writeTestEnsemble(folder.path, { name: 'three', members: 3 });
  one = await writeTestEnsemble(folder.path, { name: 'one', members: 1 });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(open.splice(0).map((computing) => computing.close()));
});
afterAll(() => folder.remove());

async function load(ensemble: string, threads: number, more: Partial<LoadInput> = {}) {
  const computing = startComputing();
  open.push(computing);
  const input = { folder: ensemble, backend: 'wasm', threads, requireGpu: false, tokenBudget: 64, ...more } as const;
  return { computing, loaded: await computing.load(input) };
}

/** Sequences of 1 to 20 tokens, more than one batch of 64. */
const sequences = Array.from({ length: 23 }, (_, i) =>
  Int32Array.from({ length: 1 + ((i * 7) % 20) }, (_, j) => 2 + ((i * 5 + j * 3) % 9)),
);

describe('members in several threads', () => {
  test('give the bits of one thread, whatever the number of threads, and the same description', async () => {
    const whole = await loadEnsemble(three);
    const expected = await scoreSequences(whole, sequences);
    const alone = await load(three, 1);
    expect(alone.loaded).toMatchObject({ digest: whole.digest, computeThreads: 1, maxTokens: 32, vocabularySize: 12 });
    disposeEnsemble(whole);
    for (const threads of [1, 2, 3]) {
      const { computing, loaded } = threads === 1 ? alone : await load(three, threads);
      expect(await computing.score(sequences)).toEqual(expected);
      // Memory is what was free when each was opened.
      const backend = { ...alone.loaded.backend, memoryBytes: expect.any(Number) };
      expect(loaded).toEqual({ ...alone.loaded, backend, computeThreads: threads });
    }
  });

  test('are never more threads than members', async () => {
    expect((await load(three, 64)).loaded.computeThreads).toBe(3);
    const { computing, loaded } = await load(one, 8);
    expect(loaded.computeThreads).toBe(1);
    expect((await computing.score([Int32Array.of(2, 3)]))[0]).toHaveLength(1);
  });

  test('tell what computes before anything is loaded', async () => {
    const onOpened = jest.fn();
    const damaged = await damage(three, 'damaged-early', 0);
    await expect(load(damaged, 1, { onOpened })).rejects.toThrow('not those that ensemble.json names');
    expect(onOpened).toHaveBeenCalledWith(expect.objectContaining({ name: 'wasm', threads: 1 }));
  });

  test('that one thread cannot load are named', async () => {
    const damaged = await damage(three, 'damaged', 2);
    await expect(load(damaged, 3)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(/^member 2 of 3: .*member-2: the weights are not those/),
    });
    await expect(load(damaged, 2)).rejects.toThrow(/^members 1 to 2 of 3: .*member-2: /);
  });

  test('end with the first thread that breaks down: the batch is unavailable, and it is reported', async () => {
    const threads = spyOnWorkers();
    const { computing } = await load(three, 2);
    expect(threads).toHaveLength(2);
    const scoring = computing.score(sequences);
    void threads[1]!.terminate();
    await expect(scoring).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await computing.failed).toMatchObject({ kind: 'unavailable' });
    await expect(computing.score(sequences)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  test('closing while they are loaded starts no further thread', async () => {
    const threads = spyOnWorkers();
    const loading = load(three, 3);
    void open[0]!.close();
    await expect(loading).rejects.toMatchObject({ kind: 'unavailable' });
    expect(threads.length).toBeLessThanOrEqual(1);
  });
});

test('shares are in order, none empty, and differ by one member at most', () => {
  expect(memberRanges(10, 3)).toEqual([
    { from: 0, to: 3 },
    { from: 3, to: 6 },
    { from: 6, to: 10 },
  ]);
  expect(memberRanges(1, 4)).toEqual([{ from: 0, to: 1 }]);
  for (let members = 1; members <= 12; members += 1)
    for (let threads = 1; threads <= 14; threads += 1) {
      const sizes = memberRanges(members, threads).map(({ from, to }) => to - from);
      expect(sizes).toHaveLength(Math.min(members, threads));
      expect(sizes.reduce((sum, size) => sum + size)).toBe(members);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
});

/** A copy whose member k has other weights than ensemble.json says. */
async function damage(ensemble: string, name: string, k: number): Promise<string> {
  const copy = join(folder.path, name);
  cpSync(ensemble, copy, { recursive: true });
  const path = join(copy, `member-${k}`, 'model.safetensors');
  const bytes = readFileSync(path);
  bytes[bytes.length - 4]! ^= 1;
  writeFileSync(path, bytes);
  return copy;
}

/** The worker threads that are started from now on. */
function spyOnWorkers(): Worker[] {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the module itself: an import is a copy of its names
  const workerThreads = require('node:worker_threads') as { Worker: typeof Worker };
  const started: Worker[] = [];
  const RealWorker = workerThreads.Worker;
  jest.spyOn(workerThreads, 'Worker').mockImplementation((...input) => {
    const worker = new RealWorker(...input);
    started.push(worker);
    return worker;
  });
  return started;
}
