import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DomainError } from '@surefoot/errors';
import type { Scorer } from '../scorer';
import { builtinPairsOf } from './builtin-task';
import {
  forgetSamples,
  readDisagreement,
  readDisagreements,
  runToSample,
  writeDisagreementSample,
} from './disagreement-sample';
import type { RunLine } from './runs-file';

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'surefoot-disagreement-'));
  await mkdir(join(out, 'runs/vanilla-data-11-0'), { recursive: true });
  const lines = ['good', '', 'very good', 'long'].map((response, index) =>
    JSON.stringify({ index, prompt: 'is it ?', initial: { response }, final: { response: `${response} good` } }),
  );
  await writeFile(join(out, 'runs/vanilla-data-11-0/evaluation.jsonl.gz'), gzipSync(`${lines.join('\n')}\n`));
});
afterEach(() => rm(out, { recursive: true }));

/** The second member gives a text its length above what the first gives it, in units of its scale. */
const scorer: Scorer = {
  ...{ model: 'lengths@1', batchSize: 2, close: () => undefined },
  calibration: [
    { mean: 0, scale: 1 },
    { mean: 5, scale: 2 },
  ],
  score: () => Promise.reject(new Error('one response must not spoil all')),
  tryScore: async (rows) =>
    rows.map(({ response }) =>
      response!.startsWith('long')
        ? new DomainError('invalid_argument', 'too long')
        : [1, 5 + 2 * (1 + response!.length)],
    ),
};
const runId = 'vanilla-data-11-0';
const line = (index: number, block: string, status: RunLine['status'] = 'completed') =>
  ({ method: 'vanilla', block, run: 0, index, status }) as RunLine;
const runs = [line(0, 'data-11'), line(1, 'data-12')];
const own = () => readDisagreement({ folder: out, runs });

test('without known pairs: the start policy against what the run answers after training; what is empty or cannot be scored left out', async () => {
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer });
  const found = (await own())!;
  expect(found.texts.map(({ id, range, response }) => [id, range, response])).toEqual([
    ['response 0', 4, 'good'],
    ['response 2', 9, 'very good'],
  ]);
  expect(found.against?.name).toBe('responses after training (vanilla-data-11-0)');
  expect(found.against?.texts.map(({ range }) => range)).toEqual([9, 5, 14]);
  expect(found.distance).toBeUndefined();
  expect(found.calibrated).toBe(true);
});

test('of every block a line, in index order, whichever was noted first; all else is that of the first', async () => {
  // Raw scores of three members that rank the two texts alike, alike and the other way round.
  const other: Scorer = {
    ...scorer,
    calibration: [1, 2, 3].map(() => ({ mean: 0, scale: 1 })),
    tryScore: async (rows) => rows.map(({ response }) => [1, 2, -1].map((sign) => sign * response!.length)),
  };
  await writeDisagreementSample(out, { runId, block: 'data-12', scorer: other });
  // Three texts score: lengths 4, 9 and 4, ranges 12, 27 and 12; correlations 1, -1, -1.
  const second = { name: 'data-12', members: 3, texts: 3, medianRange: 12, widestRange: 27, correlation: -1 / 3 };
  expect((await own())!.ensembles).toEqual([second]);
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer });
  // Ranges 4 and 9 over two texts that the second member alone tells apart: no correlation.
  const first = { name: 'data-11', members: 2, texts: 2, medianRange: 6.5, widestRange: 9, correlation: null };
  const found = (await own())!;
  expect(found.ensembles).toEqual([first, second]);
  expect([found.texts.length, found.calibrated]).toEqual([2, true]);
});

describe('the run of a block whose responses are scored', () => {
  beforeEach(async () => {
    for (const id of ['uwo-data-11-0', 'vanilla-data-11-1'])
      await cp(join(out, 'runs', runId), join(out, 'runs', id), { recursive: true });
  });
  const uwo = { ...line(1, 'data-11'), method: 'uwo' };
  const later = { ...line(2, 'data-11'), run: 1 };
  const toSample = (...lines: RunLine[]) => runToSample(out, 'data-11', lines);

  test('is the first in index order, whichever ended last, and stays to be scored until it was', async () => {
    expect(await toSample()).toBeUndefined();
    expect(await toSample(later)).toBe('vanilla-data-11-1');
    await writeDisagreementSample(out, { runId: 'vanilla-data-11-1', block: 'data-11', scorer });
    expect(await toSample(later)).toBeUndefined();
    // One before it has ended since, in another process.
    expect(await toSample(uwo, later)).toBe('uwo-data-11-0');
    await writeDisagreementSample(out, { runId: 'uwo-data-11-0', block: 'data-11', scorer });
    expect(await toSample(uwo, later)).toBeUndefined();
  });

  test('is one that has completed, and has its evaluation', async () => {
    expect(await toSample(line(0, 'data-11', 'failed'), later)).toBe('vanilla-data-11-1');
    expect(await toSample(line(0, 'data-12'))).toBeUndefined();
    await rm(join(out, 'runs', runId), { recursive: true });
    expect(await toSample(line(0, 'data-11'), uwo)).toBe('uwo-data-11-0');
  });

  test('is scored again where it is done again, and the runs of other blocks are not', async () => {
    for (const block of ['data-11', 'data-12']) await writeDisagreementSample(out, { runId, block, scorer });
    await forgetSamples(out, [{ id: 'uwo-data-11-0', block: { name: 'data-11' } }]);
    expect(await toSample(line(0, 'data-11'))).toBeUndefined();
    await forgetSamples(out, [{ id: runId, block: { name: 'data-11' } }]);
    expect(await toSample(line(0, 'data-11'))).toBe(runId);
    expect((await own())!.ensembles!.map(({ name }) => name)).toEqual(['data-12']);
  });

  test('has nothing to score where there is one member, or no response', async () => {
    const single = { ...scorer, calibration: scorer.calibration.slice(1) };
    expect(await writeDisagreementSample(out, { runId, block: 'data-11', scorer: single })).toBe(false);
    expect(await writeDisagreementSample(out, { runId: 'none', block: 'data-11', scorer })).toBe(false);
    expect(await own()).toBeUndefined();
  });
});

describe('a disagreement.json that no block has written', () => {
  const found = {
    texts: [{ id: 0, scores: [1, 2], range: 1 }],
    ...{ rangeQuantiles: [], spearman: [], widest: [], narrowest: [], members: 2 },
  };
  const write = (content: unknown) => writeFile(join(out, 'disagreement.json'), JSON.stringify(content));

  test('of reward disagree is shown until a block is noted, which it does not hinder', async () => {
    await write(found);
    expect(await own()).toEqual(found);
    expect(await readDisagreements([{ folder: out, name: 'a', runs }])).toEqual(found);
    const twice = [1, 2].map((name) => ({ folder: out, name: String(name), runs }));
    expect((await readDisagreements(twice))!.ensembles).toEqual([]);
    expect(await runToSample(out, 'data-11', runs)).toBe(runId);
    await writeDisagreementSample(out, { runId, block: 'data-11', scorer });
    expect((await own())!.ensembles!.map(({ name }) => name)).toEqual(['data-11']);
  });

  test('of an earlier release has a line for every block', async () => {
    const ensembles = [{ name: 'data-11', members: 2, texts: 1, medianRange: 1, widestRange: 1, correlation: 1 }];
    await write({ ...found, ensembles });
    expect((await own())!.ensembles).toEqual(ensembles);
  });

  test.each([null, 3, {}])('and is %j is refused by name', async (content) => {
    await write(content);
    await expect(own()).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: `${join(out, 'disagreement.json')} says nothing of disagreement: remove it`,
    });
  });
});

test('several folders: figures of the first that has any, and a line for every ensemble of all, under the names that the report has', async () => {
  // Folders that end alike are named as they were given.
  const names = ['none', 'a/exp', 'b/exp'];
  const folders = names.map((name) => ({ folder: join(out, name), name, runs }));
  for (const { folder } of folders.slice(1)) {
    await cp(join(out, 'runs'), join(folder, 'runs'), { recursive: true });
    await writeDisagreementSample(folder, { runId, block: 'data-11', scorer });
  }
  const found = (await readDisagreements(folders))!;
  expect(found.ensembles?.map(({ name, widestRange }) => [name, widestRange])).toEqual([
    ['a/exp/data-11', 9],
    ['b/exp/data-11', 9],
  ]);
  expect(found.texts).toEqual((await readDisagreement(folders[1]!))!.texts);
  expect(await readDisagreements(folders.slice(0, 1))).toBeUndefined();
  expect((await readDisagreements(folders.slice(1, 2)))!.ensembles?.map(({ name }) => name)).toEqual(['data-11']);
});

test('with the pairs: against their responses, and by distance from them', async () => {
  const pairs = join(out, 'pairs.jsonl');
  await writeFile(pairs, '{"prompt": "is it ?", "chosen": "good", "rejected": "bad"}\n');
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer, pairs });
  const found = (await own())!;
  expect(found.against).toMatchObject({ name: 'responses of the pairs', wider: (1 + 1 + 0.5 + 1) / 4 });
  // {is it good} is a pair's text; {is it very good} shares three of four words with it.
  expect(found.texts.map(({ distance }) => distance)).toEqual([0, 0.25]);
});

test('the pairs of a built-in ensemble are found by its folder, and those of no other', async () => {
  await writeFile(join(out, 'builtin-task.json'), '{"dataSeeds": [11, 12]}');
  await mkdir(join(out, 'task'));
  for (const file of ['task/pairs.jsonl', 'pairs-12.jsonl']) await writeFile(join(out, file), '');
  const found = await Promise.all(
    ['ensemble-11', 'ensemble-12', 'ensemble-13', 'mine'].map((name) => builtinPairsOf(join(out, name))),
  );
  expect(found).toEqual([join(out, 'task/pairs.jsonl'), join(out, 'pairs-12.jsonl'), undefined, undefined]);
  expect(await builtinPairsOf(join(out, 'task/ensemble'))).toBeUndefined();
});
