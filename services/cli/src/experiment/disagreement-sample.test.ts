import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { DomainError } from '@surefoot/errors';
import type { Scorer } from '../scorer';
import { builtinPairsOf } from './builtin-task';
import { readDisagreement, readDisagreements, writeDisagreementSample } from './disagreement-sample';

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

test('without known pairs: the start policy against what the run answers after training; what is empty or cannot be scored left out', async () => {
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer });
  const found = (await readDisagreement(out))!;
  expect(found.texts.map(({ id, range, response }) => [id, range, response])).toEqual([
    ['response 0', 4, 'good'],
    ['response 2', 9, 'very good'],
  ]);
  expect(found.against?.name).toBe('responses after training (vanilla-data-11-0)');
  expect(found.against?.texts.map(({ range }) => range)).toEqual([9, 5, 14]);
  expect(found.distance).toBeUndefined();
  expect(found.calibrated).toBe(true);
});

test('of every block a line, in the order in which they are noted; all else stays that of the first', async () => {
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer });
  const alone = (await readDisagreement(out))!;
  // Ranges 4 and 9 over two texts that the second member alone tells apart: no correlation.
  const first = { name: 'data-11', members: 2, texts: 2, medianRange: 6.5, widestRange: 9, correlation: null };
  expect(alone.ensembles).toEqual([first]);
  // Raw scores of three members that rank the two texts alike, alike and the other way round.
  const other: Scorer = {
    ...scorer,
    calibration: [1, 2, 3].map(() => ({ mean: 0, scale: 1 })),
    tryScore: async (rows) => rows.map(({ response }) => [1, 2, -1].map((sign) => sign * response!.length)),
  };
  await writeDisagreementSample(out, { runId, block: 'data-12', scorer: other });
  // The third text scores as well: lengths 4, 9 and 4, ranges 12, 27 and 12; correlations 1, -1, -1.
  const second = { name: 'data-12', members: 3, texts: 3, medianRange: 12, widestRange: 27, correlation: -1 / 3 };
  expect(await readDisagreement(out)).toEqual({ ...alone, ensembles: [first, second] });
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer: other });
  expect(await readDisagreement(out)).toEqual({ ...alone, ensembles: [first, second] });
});

test('several folders: figures of the first that has any, and a line for every ensemble of all', async () => {
  const [none, own, other] = ['none', 'own', 'other'].map((name) => join(out, name)) as [string, string, string];
  for (const folder of [own, other]) await cp(join(out, 'runs'), join(folder, 'runs'), { recursive: true });
  await writeDisagreementSample(own, { runId, block: 'data-11', scorer });
  await writeDisagreementSample(other, { runId, block: 'data-11', scorer });
  const found = (await readDisagreements([none, own, other]))!;
  expect(found.ensembles?.map(({ name, widestRange }) => [name, widestRange])).toEqual([
    ['own/data-11', 9],
    ['other/data-11', 9],
  ]);
  expect(found.texts).toEqual((await readDisagreement(own))!.texts);
  expect(await readDisagreements([none])).toBeUndefined();
  expect((await readDisagreements([own]))!.ensembles?.map(({ name }) => name)).toEqual(['data-11']);
});

test('with the pairs: against their responses, and by distance from them', async () => {
  const pairs = join(out, 'pairs.jsonl');
  await writeFile(pairs, '{"prompt": "is it ?", "chosen": "good", "rejected": "bad"}\n');
  await writeDisagreementSample(out, { runId, block: 'data-11', scorer, pairs });
  const found = (await readDisagreement(out))!;
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
