import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTokenizing } from './tokenizing';

const letters = [...'abcdefghijklmnopqrstuvwxyz .!'];
// Finds no end with xyzzyxyzzy… that is not followed by a semicolon.
const pattern = { type: 'Split', pattern: { Regex: '(?:xyzzy|xy|zzy)+;' }, behavior: 'Isolated', invert: false };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-tokenizing-'));
  const write = (name: string, value: object) => writeFile(join(folder, name), JSON.stringify(value));
  await write('config.json', {});
  await write('tokenizer_config.json', { eos_token: '</s>' });
  await write('tokenizer.json', {
    ...{ normalizer: null, pre_tokenizer: pattern, post_processor: null, decoder: null },
    added_tokens: [{ id: letters.length, content: '</s>', special: true }],
    model: { type: 'BPE', vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])), merges: [] },
  });
});
afterAll(() => rm(folder, { recursive: true }));

const rollout = (response: string) => ({ prompt: 'a', response, truncated: false });

test('a text with which a pattern finds no end is refused; those beside and after it are answered', async () => {
  const tokenizing = startTokenizing({ ms: 1_500, msPerCharacter: 0 });
  await tokenizing.load(folder);
  const texts = ['b', `${'xyzzy'.repeat(40)}!`, 'c'];
  const answers = await Promise.allSettled(texts.map((text) => tokenizing.encode(rollout(text), 500)));
  const ended = (letter: number) => ({ status: 'fulfilled', value: Int32Array.of(0, letter, letters.length) });
  const reason = { kind: 'invalid_argument', message: 'the tokenizer finds no end with this text' };
  expect(answers).toMatchObject([ended(1), { status: 'rejected', reason }, ended(2)]);
  expect(await tokenizing.encode(rollout('d'), 500)).toEqual(Int32Array.of(0, 3, letters.length));
  await tokenizing.close();
});
