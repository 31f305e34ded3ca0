import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { InvalidRow } from '../read-pairs';
import { readBenchmark, type BenchmarkItem } from './benchmark-item';
import { leaderboardFiles } from './leaderboard-files';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, ...rows: unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

const v1 = {
  ...{ prompt: 'q', chosen: 'yes', chosen_model: 'a', rejected: 'no', rejected_model: 'b' },
  ...{ subset: 'hep-go', id: 7 },
};
const v2 = {
  ...{ id: 'tied:4', prompt: 'q', chosen: ['red', 'blue'], rejected: ['dog'], num_correct: 2, num_incorrect: 1 },
  ...{ total_completions: 3, models: ['a', 'b', 'c'], subset: 'Ties' },
};
const answer = (text: string) => ({ text, truncated: false });

describe('rows of a benchmark', () => {
  test('of RewardBench v1 and 2 are told apart by their columns', async () => {
    const path = await file('both.jsonl', v1, v2);
    expect(await readBenchmark([path])).toEqual([
      {
        ...{ place: `${path} line 1`, id: 7, subset: 'hep-go', version: 1, prompt: 'q' },
        ...{ chosen: [answer('yes')], rejected: [answer('no')] },
      },
      {
        ...{ place: `${path} line 2`, id: 'tied:4', subset: 'Ties', version: 2, prompt: 'q' },
        ...{ chosen: [answer('red'), answer('blue')], rejected: [answer('dog')] },
      },
    ]);
  });
  test('without a subset are of their file’s, without an id of their number', async () => {
    const row = { prompt: [{ role: 'user', content: 'q' }], chosen: 'yes', rejected: 'no' };
    const [first, second] = await readBenchmark([await file('shp-00000-of-00001-ab12.jsonl', row, row)]);
    expect(first).toMatchObject({ subset: 'shp', id: 1, prompt: row.prompt });
    expect(second?.id).toBe(2);
  });
  test.each([
    [{ ...v1, rejected: undefined }, 'rejected is missing'],
    [{ ...v1, subset: 3 }, 'subset is a number, not text'],
    [{ ...v2, rejected: 'dog' }, 'rejected is a string, not a list of texts'],
    [{ ...v2, rejected: [] }, 'rejected is an empty list'],
    [{ ...v2, chosen: ['red', ' '] }, 'chosen[1] is empty'],
    [{ ...v2, rejected: ['dog', 1] }, 'rejected[1] is a number, not text'],
    [{ ...v1, id: 1.5 }, 'id is a number, not text'],
  ])('that are malformed are refused or passed over: %j', async (row, message) => {
    const path = await file('bad.jsonl', v1, row);
    await expect(readBenchmark([path])).rejects.toThrow(`${path} line 2: ${message}`);
    const invalid: InvalidRow[] = [];
    expect(await readBenchmark([path], (found) => invalid.push(found))).toHaveLength(1);
    expect(invalid).toMatchObject([{ file: path, line: 2 }]);
  });
  test('count once', async () => {
    const path = await file('once.jsonl', v1);
    await expect(readBenchmark([path, path])).rejects.toThrow('is named twice');
  });
});

describe('files of the leaderboard', () => {
  const model = { model: 'mine/mean', model_type: 'Seq. Classifier', chat_template: 'raw' };
  const item = (more: Partial<BenchmarkItem>): BenchmarkItem => ({
    ...{ place: '', id: 1, subset: 'hep-go', version: 1, prompt: 'q' },
    ...{ chosen: [answer('yes')], rejected: [answer('no')] },
    ...more,
  });
  test('hold an accuracy for each subset, and a column for each field', () => {
    const items = [item({}), item({ id: 2 }), item({ id: 3, subset: 'math-prm' })];
    const [accuracies, scores] = leaderboardFiles(model, items, [
      [2, 1],
      [1, 1],
      [3, 4],
    ]);
    expect(accuracies).toEqual({
      path: 'eval-set/mine/mean.json',
      content: { ...model, 'hep-go': 0.5, 'math-prm': 0 },
    });
    expect(Object.keys(accuracies!.content)).toEqual(['chat_template', 'hep-go', 'math-prm', 'model', 'model_type']);
    expect(scores).toEqual({
      path: 'eval-set-scores/mine/mean.json',
      content: {
        ...model,
        text_chosen: ['qyes', 'qyes', 'qyes'],
        text_rejected: ['qno', 'qno', 'qno'],
        results: [1, 0, 0],
        subset: ['hep-go', 'hep-go', 'math-prm'],
        id: [1, 2, 3],
        scores_chosen: [2, 1, 3],
        scores_rejected: [1, 1, 4],
      },
    });
  });
  test('have one kind of value in a column', () => {
    const spoken = item({ id: 'b', prompt: [{ role: 'user', content: 'p' }] });
    const [, scores] = leaderboardFiles(
      model,
      [item({}), spoken],
      [
        [2, 1],
        [1, 2],
      ],
    );
    expect(scores?.content['id']).toEqual(['1', 'b']);
    expect(scores?.content['text_chosen']).toEqual(
      ['q', 'p'].map((content) => [
        { role: 'user', content },
        { role: 'assistant', content: 'yes' },
      ]),
    );
  });
  test('keep prior sets and RewardBench 2 apart, and do not call its Ties an accuracy', () => {
    const lists = { version: 2 as const, chosen: [answer('red'), answer('blue')], rejected: [answer('dog')] };
    const items = [item({ subset: 'shp' }), item({ ...lists, subset: 'Ties' }), item({ ...lists, subset: 'Math' })];
    const files = leaderboardFiles(model, items, [
      [2, 1],
      [3, 2, 1],
      [3, 2, 1],
    ]);
    expect(files.map(({ path }) => path)).toEqual([
      'pref-sets/mine/mean.json',
      'pref-sets-scores/mine/mean.json',
      'v2/eval-set/mine/mean.json',
      'v2/eval-set-scores/mine/mean.json',
    ]);
    expect(files[2]?.content).toEqual({ ...model, Math: 1 });
    expect(files[3]?.content).toMatchObject({
      text: [
        ['qred', 'qblue', 'qdog'],
        ['qred', 'qblue', 'qdog'],
      ],
      scores: [
        [3, 2, 1],
        [3, 2, 1],
      ],
      results: [null, 1],
      num_correct: [2, 2],
    });
  });
});
