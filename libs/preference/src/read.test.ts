import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DomainError } from '@surefoot/errors';
import { readPrompts, readRollouts } from './read';
import { readPairs } from './read-pairs';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-preference-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, ...rows: unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return path;
}
const user = { role: 'user', content: 'How is the soup?' };
const said = (content: string) => ({ role: 'assistant', content });

describe('readPairs', () => {
  test('reads text, and ignores other columns', async () => {
    const path = await file('text.jsonl', { id: 7, prompt: 'p', chosen: 'c', rejected: 'r', margin: 0.5, source: 'x' });
    expect((await readPairs([path])).pairs).toEqual([
      {
        id: '7',
        prompt: 'p',
        chosen: 'c',
        rejected: 'r',
        margin: 0.5,
        chosenTruncated: false,
        rejectedTruncated: false,
      },
    ]);
  });

  test.each([
    ['whole conversations', { chosen: [user, said('c')], rejected: [user, said('r')] }],
    [
      'the first turn repeated as text',
      { prompt: user.content, chosen: [user, said('c')], rejected: [user, said('r')] },
    ],
    ['a prompt of messages and answers of one message', { prompt: [user], chosen: [said('c')], rejected: [said('r')] }],
    ['a prompt of messages and answers of text', { prompt: [user], chosen: 'c', rejected: 'r' }],
  ])('reads message lists: %s', async (_, row) => {
    const { pairs } = await readPairs([await file('messages.jsonl', row)]);
    expect(pairs[0]).toMatchObject({ prompt: [user], chosen: 'c', rejected: 'r', margin: 0 });
  });

  test('recognises gzip and joins several files in order', async () => {
    const packed = join(folder, 'pairs.jsonl.gz');
    await writeFile(packed, gzipSync('{"prompt":"p","chosen":"first","rejected":"r"}\n'));
    const plain = await file('second.jsonl', { prompt: 'p', chosen: 'second', rejected: 'r' });
    const { pairs } = await readPairs([packed, plain]);
    expect(pairs.map(({ chosen }) => chosen)).toEqual(['first', 'second']);
  });

  test('says where each pair was read: its file, and its line there', async () => {
    const pair = { prompt: 'p', chosen: 'c', rejected: 'r' };
    const [first, second] = [await file('one.jsonl', pair, 'no pair', pair), await file('two.jsonl', pair)];
    const { places } = await readPairs([first, second], { skipInvalid: true });
    expect(places).toEqual([
      { file: first, line: 1 },
      { file: first, line: 3 },
      { file: second, line: 1 },
    ]);
  });

  test.each([
    ['{"prompt":', /not JSON/],
    [[1], /not a JSON object/],
    [{ prompt: 'p', chosen: 'c' }, /rejected is missing, not text/],
    [{ chosen: 'c', rejected: 'r' }, /prompt is missing, not text/],
    [{ prompt: 'p', chosen: '', rejected: 'r' }, /chosen is empty/],
    [{ prompt: 'p', chosen: ' \n', rejected: 'r' }, /chosen is empty/],
    [{ prompt: 'p', chosen: 'c', rejected: 3 }, /rejected is a number, not text/],
    [{ prompt: 'p', chosen: 'same', rejected: 'same' }, /the same text/],
    [{ prompt: 'p', chosen: 'c', rejected: 'r', margin: 'NaN' }, /margin is a string, not a number/],
    [{ prompt: 'p', chosen: 'c', rejected: 'r', margin: -1 }, /margin is -1/],
    ['{"prompt":"p","chosen":"c","rejected":"r","margin":1e999}', /margin is Infinity/],
    ['{"prompt":"p","chosen":"c","rejected":"r","margin":NaN}', /not JSON/],
    ['{"prompt":"p","chosen":"\\ud83d","rejected":"r"}', /half a surrogate pair/],
    [{ prompt: [], chosen: 'c', rejected: 'r' }, /prompt is an empty list/],
    [{ prompt: ['hi'], chosen: 'c', rejected: 'r' }, /prompt\[0\] is not a message/],
    [{ prompt: [{ role: 'user' }], chosen: 'c', rejected: 'r' }, /prompt\[0\]\.content is missing/],
    [{ chosen: [user, said('c')], rejected: 'r' }, /rejected is a string/],
    [{ chosen: [user, said('c')], rejected: [said('hi'), said('r')] }, /share no prompt/],
    [{ chosen: [user], rejected: [user] }, /role user, not assistant/],
    [{ prompt: [said('x')], chosen: [user, said('c')], rejected: [user, said('r')] }, /prompt differs/],
  ])('names file, line and reason of a malformed row: %j', async (row, reason) => {
    const path = await file('bad.jsonl', { prompt: 'p', chosen: 'c', rejected: 'r' }, row);
    await expect(readPairs([path])).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(readPairs([path])).rejects.toThrow(`${path} line 2: `);
    await expect(readPairs([path])).rejects.toThrow(reason);
    const { pairs, invalid } = await readPairs([path], { skipInvalid: true });
    expect(pairs).toHaveLength(1);
    expect(invalid).toEqual([{ file: path, line: 2, reason: expect.stringMatching(reason) }]);
  });

  test('keeps U+FFFD and emoji: they are characters', async () => {
    const path = await file('odd.jsonl', { prompt: '\ufffd', chosen: 'yes 👍', rejected: 'no' });
    expect((await readPairs([path])).pairs[0]).toMatchObject({ prompt: '\ufffd', chosen: 'yes 👍' });
  });

  test('refuses a file without a pair', async () => {
    await expect(readPairs([await file('none.jsonl', '')])).rejects.toThrow('no preference pair');
    const bad = await file('all-bad.jsonl', '{}');
    await expect(readPairs([bad], { skipInvalid: true })).rejects.toThrow(
      `1 malformed rows, 0 ties, 0 without a common prefix, 0 of other splits); the first malformed one, ${bad} line 1: prompt is missing`,
    );
  });
});

describe('readPrompts and readRollouts', () => {
  test('read what they name', async () => {
    expect(await readPrompts(await file('prompts.jsonl', { id: 'a', prompt: 'p' }, { prompt: [user] }))).toEqual([
      { id: 'a', prompt: 'p' },
      { id: undefined, prompt: [user] },
    ]);
    const turns = [
      { from: 'system', value: 's' },
      { from: 'human', value: 'q' },
      { from: 'gpt', value: 'a' },
    ];
    const spoken = [
      { role: 'system', content: 's' },
      { role: 'user', content: 'q' },
    ];
    const lists = await file(
      'lists.jsonl',
      { conversations: turns },
      { messages: [user] },
      { prompt: turns.slice(0, 2) },
    );
    expect((await readPrompts(lists)).map(({ prompt }) => prompt)).toEqual([spoken, [user], spoken]);
    const rollouts = await file(
      'rollouts.jsonl',
      { prompt: 'p', response: 'r', truncated: true },
      { id: 'x', ids: [1] },
      { id: 7, ids: [1] },
      { id: 8, prompt: 'p', ids: [4], response: 'r' },
      { id: 9, prompt: null, ids: [1], response: null },
    );
    expect(await readRollouts(rollouts)).toEqual([
      { id: '1', givenId: '1', prompt: 'p', response: 'r', truncated: true },
      { id: 'x', givenId: 'x', ids: [1], truncated: false },
      { id: '7', givenId: 7, ids: [1], truncated: false },
      { id: '8', givenId: 8, prompt: 'p', response: 'r', truncated: false },
      { id: '9', givenId: 9, ids: [1], truncated: false },
    ]);
  });

  test('what who is given a prompt has against it gets file and line', async () => {
    const path = await file('refused.jsonl', { prompt: 'p' }, { prompt: 'q' });
    const refuse = (prompt: unknown) => {
      if (prompt === 'q') throw new DomainError('invalid_argument', 'no such word');
    };
    await expect(readPrompts(path, refuse)).rejects.toThrow(`${path} line 2: no such word`);
  });

  test.each([
    [{ id: 'a', prompt: 'p', response: '' }, /line 2: response is empty/],
    [{ id: 'a', ids: [] }, /line 2: ids is empty/],
    [{ id: 'a', ids: [1], response: 'r' }, /line 2: needs ids of a whole rollout, or prompt and response/],
    [{ id: 'a', ids: [1, -2] }, /line 2: ids\[1\]/],
    [{ id: 'a', ids: [1.5] }, /line 2: ids\[0\]/],
    [{ id: 'first', ids: [1] }, /line 2: id first is that of line 1/],
  ])('refuse %j', async (row, reason) => {
    const path = await file('bad-rollouts.jsonl', { id: 'first', ids: [1] }, row);
    await expect(readRollouts(path)).rejects.toThrow(reason);
    const passedOver: unknown[] = [];
    expect(await readRollouts(path, (invalid) => passedOver.push(invalid))).toHaveLength(1);
    expect(passedOver).toEqual([{ file: path, line: 2, reason: expect.any(String) }]);
  });
});
