import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { digestFile, readJson } from '@surefoot/files';
import { parseInitialisation, parseModelConfig } from '@surefoot/language-model';
import { builtinTask, goldScore, parseGold, readPairs, readPrompts } from '@surefoot/preference';
import { openBackend } from '@surefoot/tensor';
import '@surefoot/tensor/testing';
import { writeBuiltinPairs, writeBuiltinTask, type BuiltinTaskOptions } from './write-builtin-task';

// A machine under load takes several times as long.
jest.setTimeout(60_000);

let root: string;
beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-task-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const small: BuiltinTaskOptions = {
  ...{ dataSeed: 11, pairs: 30, judgePairs: 60 },
  baseTraining: { sentences: 300, steps: 80, batchSize: 16 },
};
const write = async (name: string, options: BuiltinTaskOptions = {}) => {
  await writeBuiltinTask(join(root, name), { ...small, ...options });
  return join(root, name);
};

describe('writeBuiltinTask', () => {
  test('writes files that the readers take', async () => {
    const folder = await write('first');
    expect((await readdir(folder)).sort()).toEqual([
      'base',
      'eval-prompts.jsonl',
      'gold.json',
      'judge-config.json',
      'judge-pairs.jsonl',
      'member-config.json',
      'member-init.json',
      'pairs.jsonl',
      'prompts.jsonl',
    ]);
    const gold = parseGold(await readJson(join(folder, 'gold.json')));
    expect(gold).toEqual(builtinTask());
    expect(await readPrompts(join(folder, 'prompts.jsonl'))).toHaveLength(24);
    const member = parseModelConfig(await readJson(join(folder, 'member-config.json')), 'member-config.json');
    expect(member).toMatchObject({ head: 'reward', hiddenSize: 32, layers: 2, heads: 2, vocabularySize: 100 });
    const judge = parseModelConfig(await readJson(join(folder, 'judge-config.json')), 'judge-config.json');
    expect(judge).toMatchObject({ head: 'reward', hiddenSize: 64 });
    expect(parseInitialisation(await readJson(join(folder, 'member-init.json')), 'init').tokenEmbedding).toBe(0.6);
    const { pairs } = await readPairs([join(folder, 'judge-pairs.jsonl')]);
    const scores = pairs.map(({ prompt, chosen, chosenTruncated }) =>
      goldScore(gold, prompt as string, chosen, !chosenTruncated),
    );
    expect(scores.every(Number.isFinite)).toBe(true);
  });

  test('another data set of a task has the pairs that a whole task of its own would have', async () => {
    const [task, other] = [await write('of-11'), await write('of-12', { dataSeed: 12, coverage: 'even', pairs: 20 })];
    const path = join(task, 'pairs-12.jsonl');
    await writeBuiltinPairs(task, path, { dataSeed: 12, coverage: 'even', pairs: 20 });
    expect(await readFile(path, 'utf8')).toBe(await readFile(join(other, 'pairs.jsonl'), 'utf8'));
    await expect(writeBuiltinPairs(task, path, { pairs: 0 })).rejects.toThrow('pairs is 0');
    await expect(writeBuiltinPairs(root, path, {})).rejects.toMatchObject({ kind: 'not_found' });
  });

  test('covers one category unevenly and all four evenly, and judges all', async () => {
    const prompts = async (folder: string, file: string) =>
      new Set((await readPairs([join(folder, file)])).pairs.map(({ prompt }) => prompt));
    const uneven = await prompts(await write('uneven'), 'pairs.jsonl');
    expect([...uneven].every((prompt) => /soup|bread|pizza|salad|curry|cake/.test(prompt as string))).toBe(true);
    const even = await prompts(await write('even', { coverage: 'even', pairs: 60 }), 'pairs.jsonl');
    expect(even.size).toBeGreaterThan(12);
    expect((await prompts(join(root, 'even'), 'judge-pairs.jsonl')).size).toBeGreaterThan(12);
  });

  test('gives the same bytes for the same seed; only the pairs depend on the data seed', async () => {
    const [a, b, other] = [await write('a'), await write('b'), await write('other', { dataSeed: 12 })];
    const files = ['pairs.jsonl', 'judge-pairs.jsonl', join('base', 'model.safetensors'), 'gold.json'];
    const digests = (folder: string) => Promise.all(files.map((file) => digestFile(join(folder, file))));
    expect(await digests(b)).toEqual(await digests(a));
    expect((await digests(other)).slice(1)).toEqual((await digests(a)).slice(1));
    expect((await digests(other))[0]).not.toBe((await digests(a))[0]);
  });

  test('leaves nothing where it cannot be finished, and does not write over a folder', async () => {
    const before = await readdir(root);
    await expect(write('bad', { dataSeed: -1 })).rejects.toThrow('dataSeed is -1');
    await expect(write('bad', { pairs: 0 })).rejects.toThrow('pairs is 0');
    const stop = () => {
      throw new Error('stop');
    };
    await expect(write('bad', { onProgress: stop })).rejects.toThrow('stop');
    expect(await readdir(root)).toEqual(before);
    const kept = await readFile(join(root, 'a', 'pairs.jsonl'), 'utf8');
    await expect(write('a')).rejects.toMatchObject({ kind: 'already_exists' });
    expect(await readFile(join(root, 'a', 'pairs.jsonl'), 'utf8')).toBe(kept);
  });

  test('leaks no tensors', async () => {
    await expect(() => write('leak')).toNotLeakTensors();
  });
});
