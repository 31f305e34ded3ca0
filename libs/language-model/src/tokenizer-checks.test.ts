import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadTokenizer } from './index';
import { withFolder, writeTokenizer } from './testing';

const sound = {
  ...{ added_tokens: [] as object[], normalizer: null, pre_tokenizer: null as object | null },
  ...{ post_processor: null, decoder: null },
  model: { type: 'BPE', vocab: { a: 0, b: 1 } as object, merges: [] as unknown, unk_token: 'a' },
};
const model = (change: object) => ({ ...sound, model: { ...sound.model, ...change } });
const split = (Regex: string) => ({
  ...sound,
  pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated' },
});

async function load(json: object | string): Promise<void> {
  await withFolder(async (folder) => {
    await writeFile(join(folder, 'tokenizer.json'), typeof json === 'string' ? json : JSON.stringify(json));
    await loadTokenizer(folder);
  });
}

describe('a tokenizer.json that cannot be meant', () => {
  test.each([
    ['an id beyond any vocabulary', model({ vocab: { a: 4e9 } }), 'the id of "a" is 4000000000, no whole number'],
    ['an id of 2^22', model({ vocab: { a: 2 ** 22 } }), 'from 0 to 4194303'],
    ['a negative id', model({ vocab: { a: -1 } }), 'the id of "a" is -1'],
    ['half an id', model({ vocab: { a: 0.5 } }), 'the id of "a" is 0.5'],
    ['a text for an id', model({ vocab: { a: '0' } }), 'the id of "a" is 0'],
    ['an id for two tokens', model({ vocab: { a: 7, b: 7 } }), 'two tokens have id 7; one is "b"'],
    ['merges that are no list', model({ merges: { a: 1 } }), 'merges are no list'],
    [
      'a merge of three',
      model({
        merges: [
          ['a', 'b'],
          ['a', 'b', 'c'],
        ],
      }),
      'merge 1 is not two tokens',
    ],
    ['merges of two forms', model({ merges: ['a b', ['a', 'b']] }), 'merge 1 is not two tokens'],
    ['pieces without score', model({ type: 'Unigram', vocab: [['a', -1], ['b']] }), 'entry 1 of its vocabulary'],
    [
      'an added token without content',
      { ...sound, added_tokens: [{ id: 2, content: '' }] },
      'added token 2 has no content',
    ],
    ['an added token without id', { ...sound, added_tokens: [{ content: 'x' }] }, 'added_tokens is no list'],
    [
      'an added token of id 1e9',
      { ...sound, added_tokens: [{ id: 1e9, content: 'x' }] },
      'the id of "x" is 1000000000',
    ],
    [
      'added tokens of one id',
      { ...sound, added_tokens: ['x', 'y'].map((content) => ({ id: 2, content })) },
      'is there twice',
    ],
    ['no model', { ...sound, model: null }, 'describes no tokenizer known here'],
    ['an unknown model', model({ type: 'Telepathy' }), 'its model is of type "Telepathy"'],
    ['a broken pattern', split('(['), 'describes no tokenizer known here'],
    [
      'replacements that grow without end',
      {
        ...sound,
        normalizer: {
          type: 'Sequence',
          normalizers: Array.from({ length: 4 }, () => ({
            type: 'Replace',
            pattern: { Regex: '.' },
            content: 'sixsix',
          })),
        },
      },
      'its normalizer could make a text more than 1000 times as long',
    ],
    ['a pattern that backtracks without end', split('(a+)+$'), 'encoding a short text takes longer than 2 s'],
    ['another one', split('(\\p{L}|\\w)*;'), 'encoding a short text takes longer than 2 s'],
  ])('%s is refused by name', async (_, json, reason) => {
    const message = expect.stringMatching(`tokenizer.json.*${reason}`);
    await expect(load(json)).rejects.toMatchObject({ kind: 'invalid_argument', message });
  });

  test('sequences within sequences are refused', async () => {
    const depth = 50_000;
    const nested = '{"type":"Sequence","pretokenizers":['.repeat(depth) + ']}'.repeat(depth);
    const json = JSON.stringify({ ...sound, pre_tokenizer: 0 }).replace(
      '"pre_tokenizer":0',
      `"pre_tokenizer":${nested}`,
    );
    await expect(load(json)).rejects.toMatchObject({ kind: 'invalid_argument' });
  });

  test('100 MB are refused before they are read', async () => {
    for (const name of ['special_tokens_map.json', 'tokenizer_config.json', 'tokenizer.json'])
      await withFolder(async (folder) => {
        await writeTokenizer(folder);
        await writeFile(join(folder, name), '{');
        await truncate(join(folder, name), 100 * 2 ** 20);
        const message = expect.stringContaining(`${name} has 100 MiB; at most 64 MiB are read`);
        await expect(loadTokenizer(folder)).rejects.toMatchObject({ kind: 'invalid_argument', message });
      });
  });

  test('and a sound one is not', () => load(sound));
});
