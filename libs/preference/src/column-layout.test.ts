import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseColumns } from './columns';
import { readPairs, type PairFile, type ReadPairsOptions } from './read-pairs';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-layout-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const asked = (content: string) => ({ role: 'user', content });
const said = (content: string) => ({ role: 'assistant', content });
const talk = (...turns: string[]) => turns.map((text, i) => (i % 2 === 0 ? asked(text) : said(text)));

async function read(rows: object[], options?: ReadPairsOptions) {
  const path = join(folder, 'rows.jsonl');
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const { pairs, invalid, files } = await readPairs([path], options);
  return { pairs: pairs.map(({ prompt, chosen, rejected }) => [prompt, chosen, rejected]), invalid, file: files[0]! };
}

describe('rows as data sets on the hub have them', () => {
  test('conversations A and B with ratings', async () => {
    const rate = (a: number, b: number) => ({
      ...{ id: 'x', conv_A: talk('q', 'a'), conv_B: talk('q', 'b'), conv_A_rating: a, conv_B_rating: b, num_turns: 1 },
    });
    const { pairs, file } = await read([rate(1, 0), rate(2, 3.5), rate(1, 1)]);
    expect(pairs).toEqual([
      [[asked('q')], 'a', 'b'],
      [[asked('q')], 'b', 'a'],
    ]);
    expect(file).toMatchObject({ layout: 'ab-conversations', rows: 3, pairs: 2, ties: 1 });
  });

  test('posts with answers A and B, where label 1 prefers A', async () => {
    const row = { history: 'post', human_ref_A: 'a', human_ref_B: 'b', score_A: 9, score_B: 4, score_ratio: 2.25 };
    const { pairs, file } = await read([
      { ...row, labels: 1 },
      { ...row, labels: 0 },
    ]);
    expect(pairs).toEqual([
      ['post', 'a', 'b'],
      ['post', 'b', 'a'],
    ]);
    expect(file.layout).toBe('ab-references');
    await expect(read([{ ...row, labels: 2 }])).rejects.toThrow('line 1: labels is 2, not 0 or 1');
  });

  test('two responses, where a preference below 0 is for the first and 0 is a tie', async () => {
    const row = { split: 'train', prompt: 'q', response_1: 'a', response_2: 'b', preference_statement: 's' };
    const { pairs, file } = await read([
      { ...row, preference_strength: -3 },
      { ...row, preference_strength: 1, split: 'validation' },
      { ...row, preference_strength: 0 },
    ]);
    expect(pairs).toEqual([
      ['q', 'a', 'b'],
      ['q', 'b', 'a'],
    ]);
    expect(file).toMatchObject({ layout: 'two-responses', ties: 1, splits: { train: 2, validation: 1 } });
    await expect(read([row])).rejects.toThrow('preference_strength is missing');
  });

  test('several turns between marks in a prompt become messages', async () => {
    const prompt = 'first\nquestion\n<extra_id_1>Assistant\nanswer\n<extra_id_1>User\nsecond';
    const rows = { response_1: 'a', response_2: 'b', preference_strength: 2 };
    const { pairs } = await read([
      { ...rows, prompt },
      { ...rows, prompt: `${prompt}\n<extra_id_1>Assistant\n` },
    ]);
    const messages = talk('first\nquestion', 'answer', 'second');
    expect(pairs).toEqual([
      [messages, 'b', 'a'],
      [messages, 'b', 'a'],
    ]);
  });

  test('a context of messages and response1, response2 without underscore', async () => {
    const row = {
      domain: 'code',
      context: talk('q', 'a', 'r'),
      response1: 'x',
      response2: 'y',
      overall_preference: -1,
    };
    const { pairs, file } = await read([row]);
    expect(pairs).toEqual([[talk('q', 'a', 'r'), 'x', 'y']]);
    expect(file.layout).toBe('two-responses');
  });

  test('lists of right and wrong answers: each with each', async () => {
    const { pairs, file } = await read([
      { id: 1, prompt: 'q', chosen: ['a'], rejected: ['b', 'c', 'd'], num_correct: 1, subset: 'Factuality' },
      { id: 2, prompt: 'r', chosen: ['a', 'b'], rejected: ['c', 'd'], subset: 'Ties' },
    ]);
    expect(pairs.map(([prompt, ...answers]) => `${prompt}:${answers.join('')}`)).toEqual(
      ['q:ab', 'q:ac', 'q:ad', 'r:ac', 'r:ad', 'r:bc', 'r:bd'], // prettier-ignore
    );
    expect(file).toMatchObject({ layout: 'answer-lists', rows: 2, pairs: 7 });
  });

  test('message lists with the first turn as text beside them; equal scores are ties', async () => {
    const row = {
      prompt: 'q',
      prompt_id: 'h',
      chosen: talk('q', 'a'),
      rejected: talk('q', 'b'),
      messages: talk('q', 'a'),
    };
    const { pairs, file } = await read([
      { ...row, score_chosen: 8, score_rejected: 7.5 },
      { ...row, score_chosen: 8, score_rejected: 8 },
    ]);
    expect(pairs).toEqual([[[asked('q')], 'a', 'b']]);
    expect(file).toMatchObject({ layout: 'message-lists', pairs: 1, ties: 1, withoutCommonPrefix: 0 });
  });

  test('conversations of {from, value}, with answers as one turn each', async () => {
    const turn = (from: string, value: string) => ({ from, value });
    const { pairs } = await read([
      {
        conversations: [turn('system', 's'), turn('human', 'q')],
        chosen: turn('gpt', 'a'),
        rejected: turn('gpt', 'b'),
      },
      { chosen: [turn('human', 'q'), turn('gpt', 'a')], rejected: [turn('human', 'q'), turn('gpt', 'b')] },
    ]);
    expect(pairs).toEqual([
      [[{ role: 'system', content: 's' }, asked('q')], 'a', 'b'],
      [[asked('q')], 'a', 'b'],
    ]);
  });

  test('texts with Human and Assistant marks are cut after the last one', async () => {
    const start = '\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant:';
    const { pairs, file } = await read([
      { chosen: `${start} good`, rejected: `${start} bad` },
      { chosen: `${start} good`, rejected: '\n\nHuman: other\n\nAssistant: bad' },
      { chosen: `${start} same`, rejected: `${start} same` },
    ]);
    expect(pairs).toEqual([[start, ' good', ' bad']]);
    expect(file).toMatchObject({ layout: 'marked-texts', rows: 3, pairs: 1, ties: 1, withoutCommonPrefix: 1 });
    await expect(read([{ chosen: `${start} a`, rejected: 'b' }])).rejects.toThrow('rejected has no mark "Assistant:"');
  });

  test('texts with a prompt keep their marks', async () => {
    const { pairs, file } = await read([{ prompt: 'p', chosen: '\n\nHuman: h\n\nAssistant: a', rejected: 'b' }]);
    expect(pairs[0]![0]).toBe('p');
    expect(file.layout).toBe('texts');
  });

  test('rated responses: two rows on end with one prompt are a pair by helpfulness', async () => {
    const rate = (prompt: string, response: string, helpfulness: number) => ({
      ...{ prompt, response, helpfulness, correctness: 4, coherence: 4, complexity: 1, verbosity: 1 },
    });
    const rows = [rate('q', 'a', 3), rate('q', 'b', 4), rate('r', 'a', 2), rate('r', 'b', 2), rate('s', 'a', 1)];
    await expect(read(rows)).rejects.toThrow('line 5: no second row with its prompt follows');
    const { pairs, invalid, file } = await read([rate('lone', 'a', 1), ...rows], { skipInvalid: true });
    expect(pairs).toEqual([['q', 'b', 'a']]);
    expect(invalid.map(({ line }) => line)).toEqual([1, 6]);
    expect(file).toMatchObject({ layout: 'rated-rows', rows: 6, pairs: 1, ties: 1, invalid: 2 });
  });
});

describe('columns', () => {
  const row = { question: 'q', best: 'a', worst: 'b', by: 2, prompt: 'other', chosen: 'c', rejected: 'd', conv_A: [] };

  test('that are named take the place of those that would be recognised', async () => {
    const columns = parseColumns('prompt=question, chosen=best,rejected=worst,margin=by');
    const { pairs } = await read([row], { columns });
    expect(pairs).toEqual([['q', 'a', 'b']]);
    expect((await read([row], { columns: parseColumns('chosen=best') })).pairs).toEqual([['other', 'a', 'd']]);
  });

  test('that are missing are named with those that are there', async () => {
    const reading = read([row], { columns: parseColumns('prompt=query') });
    await expect(reading).rejects.toThrow(
      'it has no column query for prompt; it has question, best, worst, by, prompt',
    );
  });

  test.each(['prompt', 'prompt=', 'answer=a', 'prompt=a,prompt=b'])('cannot be %s', (text) => {
    expect(() => parseColumns(text)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }));
  });

  test('split chooses rows', async () => {
    const rows = ['train', 'train', 'test'].map((split, i) => ({ split, prompt: `p${i}`, chosen: 'a', rejected: 'b' }));
    const { pairs, file } = await read(rows, { split: 'test' });
    expect(pairs).toEqual([['p2', 'a', 'b']]);
    expect(file).toMatchObject({ rows: 3, pairs: 1, ofOtherSplits: 2, splits: { train: 2, test: 1 } });
    await expect(read(rows, { split: 'dev' })).rejects.toThrow('3 of other splits');
    await expect(read([row], { split: 'dev', columns: {} })).rejects.toThrow('it has no column split');
  });

  test('say why where no pair is left', async () => {
    await expect(read([{ chosen: [], rejected: [] }], { skipInvalid: true })).rejects.toThrow(
      'chosen is an empty list',
    );
  });
});

const data = join(__dirname, '../../../../shared/data');
if (!existsSync(data)) process.stderr.write(`SKIPPED: no real preference data in ${data}\n`);

describe('real files', () => {
  test.each([
    ['alpacaeval-test.jsonl.gz', { layout: 'texts', rows: 800, pairs: 800 }],
    ['alpacaeval-chat.parquet', { layout: 'message-lists', rows: 200, pairs: 200 }],
    ['llmbar-natural.parquet', { layout: 'texts', rows: 100, pairs: 100 }],
  ] satisfies [string, Partial<PairFile>][])('%s', async (name, expected) => {
    if (!existsSync(data)) return;
    const { files, pairs } = await readPairs([join(data, name)]);
    expect(files[0]).toMatchObject({ ...expected, ties: 0, invalid: 0 });
    expect(pairs).toHaveLength(expected.pairs);
  });
});
