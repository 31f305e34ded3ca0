import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { digestFile, readJson } from '@surefoot/files';
import { parseModelConfig, type ModelConfig } from '@surefoot/language-model';
import { readPairs, type PreferencePair } from '@surefoot/preference';
import { fitEnsemble, writeBuiltinTask, type FitOptions } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import type { Context } from '../command';
import { Interrupted } from '../failure';
import { computeFit } from './fit';

// A machine under load takes several times as long.
jest.setTimeout(60_000);

let root: string;
let task: string;
let out: string;
let pairs: PreferencePair[];
let config: ModelConfig;
let count = 0;
beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-fit-'));
  task = join(root, 'task');
  const baseTraining = { sentences: 200, steps: 10, batchSize: 16 };
  await writeBuiltinTask(task, { dataSeed: 3, pairs: 20, judgePairs: 4, baseTraining });
  ({ pairs } = await readPairs([join(task, 'pairs.jsonl')]));
  config = parseModelConfig(await readJson(join(task, 'member-config.json')), 'member-config.json');
});
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

// 20 pairs in batches of 8 are 3 steps, twice.
const stepsOfMember = 6;
const options = (more: Partial<FitOptions> = {}): FitOptions => ({
  ...{ pairs, members: 3, seed: 5, out, name: 'test', config, tokenizerFolder: join(task, 'base') },
  ...{ epochs: 2, batchSize: 8, ...more },
});

/** A fit in so many threads, with all that its progress has said. */
function fit(threads: number, fitOptions: FitOptions, signal = new AbortController().signal) {
  const steps: number[] = [];
  const progress = jest.fn((_label: string, _total: number) => ({
    advance: (units: number) => void steps.push(units),
    finish: () => undefined,
  }));
  const terminal = { progress, note: () => undefined, print: () => Promise.resolve() };
  const context: Context = { terminal, signal, env: { SUREFOOT_THREADS: String(threads) } };
  const report = computeFit({ label: 'fit', backend: 'wasm', options: fitOptions }, context);
  return { report, steps, progress };
}

async function digests(folder: string): Promise<string[]> {
  const files = ['fit.json', ...[0, 1, 2].map((k) => join(`member-${k}`, 'model.safetensors'))];
  return Promise.all(files.map((file) => digestFile(join(folder, file))));
}

describe('a fit in several threads', () => {
  test('leaves the bytes of one member after the other, and the same report', async () => {
    const inOrder = await fitEnsemble(options({ out: `${out}-in-order`, evalPairs: pairs }));
    for (const threads of [1, 2, 8]) {
      const folder = `${out}-${threads}`;
      const { report, steps, progress } = fit(threads, options({ out: folder, evalPairs: pairs }));
      expect(await report).toEqual(inOrder);
      expect(await digests(folder)).toEqual(await digests(`${out}-in-order`));
      const { created, ...file } = (await readJson(join(folder, 'ensemble.json'))) as { created: string };
      expect(file).toEqual(await readJson(join(`${out}-in-order`, 'ensemble.json')));
      expect(Date.parse(created)).not.toBeNaN();
      expect(progress.mock.calls).toEqual([['fit', 3 * stepsOfMember, 'steps']]);
      expect(steps).toEqual([0, ...new Array<number>(3 * stepsOfMember).fill(1)]);
    }
  });

  test('goes on with the members that are missing, and counts the others as done', async () => {
    await fit(2, options()).report;
    const whole = await digests(out);
    await rm(join(out, 'member-1'), { recursive: true });
    await rm(join(out, 'ensemble.json'));
    const { report, steps } = fit(2, options());
    await report;
    expect(steps).toEqual([2 * stepsOfMember, ...new Array<number>(stepsOfMember).fill(1)]);
    expect(await digests(out)).toEqual(whole);
  });

  test('ends with the first member that diverges, named, and publishes nothing', async () => {
    const initialisation = { tokenEmbedding: 1, positionEmbedding: 1, head: 1e38, matrices: 1 };
    const overflowing = options({ initialisation: { ...initialisation, outputProjectionsByDepth: false } });
    await expect(fit(3, overflowing).report).rejects.toMatchObject({
      kind: 'diverged',
      message: expect.stringMatching(/^reward member [0-2]: step 1: /),
    });
    expect(await readdir(out)).toEqual(['fit.json']);
  });

  test('stops after Ctrl-C, and ends with the same bytes when it is asked for again', async () => {
    await fit(2, options({ out: `${out}-whole`, epochs: 40 })).report;
    const interruption = new AbortController();
    const { report, steps } = fit(2, options({ epochs: 40 }), interruption.signal);
    const outcome = report.catch((error: unknown) => error);
    while (steps.length < 10) await new Promise((settle) => setTimeout(settle, 5));
    interruption.abort();
    expect(await outcome).toBeInstanceOf(Interrupted);
    const after = steps.length;
    expect(existsSync(join(out, 'ensemble.json'))).toBe(false);
    await fit(2, options({ epochs: 40 })).report;
    expect(steps).toHaveLength(after);
    expect(await digests(out)).toEqual(await digests(`${out}-whole`));
  });

  test('refuses what cannot be fitted before it writes, and a number of threads that is none', async () => {
    await expect(fit(2, options({ learningRate: NaN })).report).rejects.toThrow('learningRate is NaN');
    await expect(fit(2, options({ config: undefined })).report).rejects.toThrow('either a base model, or a config');
    await expect(fit(0, options()).report).rejects.toThrow('SUREFOOT_THREADS is "0"');
    expect(existsSync(out)).toBe(false);
  });
});
