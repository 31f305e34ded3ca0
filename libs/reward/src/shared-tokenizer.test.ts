import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { wordTokenizerFiles } from '@surefoot/language-model';
import { sharedTokenizer } from './shared-tokenizer';

let root: string;
const folder = (name: string) => join(root, name);
const parse = jest.spyOn(JSON, 'parse');
/** How many tokenizers were built since it was last asked. */
const built = () => parse.mock.calls.splice(0).filter(([text]) => text.includes('"pre_tokenizer"')).length;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'surefoot-tokenizer-'));
  await mkdir(folder('a'));
  for (const [file, content] of Object.entries(
    wordTokenizerFiles(['<bos>', '<eos>', 'is'], { bos: '<bos>', eos: '<eos>' }),
  ))
    await writeFile(join(folder('a'), file), content);
  for (const copy of ['b', 'c', 'laid-out', 'other']) await cp(folder('a'), folder(copy), { recursive: true });
  const edit = async (name: string, change: (text: string) => string) => {
    const path = join(folder(name), 'tokenizer.json');
    await writeFile(path, change(await readFile(path, 'utf8')));
  };
  await edit('other', (text) => text.replaceAll('"is"', '"it"'));
  await writeFile(join(folder('laid-out'), 'vocab.json'), '{}');
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('of folders with the same files one is built', async () => {
  const { digest } = await sharedTokenizer(['a', 'b', 'c'].map(folder));
  expect(built()).toBe(1);
  expect(digest).toBe((await sharedTokenizer([folder('a')])).digest);
  built();
});

test('files that differ in what decides no id are of one tokenizer, others are refused by name', async () => {
  await sharedTokenizer(['a', 'laid-out', 'b'].map(folder));
  expect(built()).toBe(2);
  await expect(sharedTokenizer(['a', 'b', 'other', 'c'].map(folder))).rejects.toThrow(
    /other: not the tokenizer of .*a$/,
  );
});

test('a folder without a tokenizer is refused', async () => {
  await mkdir(folder('empty'));
  await expect(sharedTokenizer(['a', 'empty'].map(folder))).rejects.toMatchObject({ kind: 'not_found' });
});
