import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { convertModel, disposeModel } from '@surefoot/language-model';
import { inspectTensorflow, openBackend } from '@surefoot/tensor';

import { loadStart } from './start';
import { createJob, createSettings, createWorld, words, type World } from './testing';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.remove());

test('a prompt that is too long loses tokens after its bos token, and a warning counts those of each file once', async () => {
  // Of 16 positions 13 are the longest response's.
  const job = createJob(world, world.folder('long'), createSettings({ maxNewTokens: 13 }));
  const { reference, prompts, warnings } = await loadStart(job);
  disposeModel(reference);
  expect(warnings).toEqual([
    "3 of 4 prompts of prompts.jsonl lose their beginning: maxNewTokens = 13 leaves them 3 of the policy's 16 positions; shorten them, or set ppo.maxNewTokens lower",
  ]);
  expect(prompts.map(({ ids }) => Array.from(ids, (id) => words[id]))).toEqual([
    ['<bos>', 'good', '?'],
    ['<bos>', 'good', '?'],
    ['<bos>', 'it', '?'],
    ['<bos>', 'soup'],
  ]);
});

test('prompts that fit give no warning', async () => {
  const { reference, warnings } = await loadStart(createJob(world, world.folder('fits')));
  disposeModel(reference);
  expect(warnings).toEqual([]);
});

test('a prompt that the tokenizer cannot read is named by file and line', async () => {
  const prompts = join(world.folder('unknown'), 'unknown.jsonl');
  await writeFile(prompts, '{"prompt":"soup"}\n{"prompt":"what ?"}\n');
  const job = createJob(world, world.data);
  await expect(loadStart({ ...job, paths: { ...job.paths, prompts } })).rejects.toThrow(
    /unknown\.jsonl line 2: token 1 of the text is not/,
  );
});

(inspectTensorflow().problem === undefined ? test : test.skip)(
  'a fingerprint names how the weights are held',
  async () => {
    await openBackend('tensorflow', { threads: 1 });
    const policy = world.folder('bf16');
    await convertModel(join(world.data, 'base'), policy, { dtype: 'bf16' });
    const lora = { r: 2, alpha: 4, targetModules: 'all-linear', rslora: false };
    const formOf = async (weights: 'auto' | 'bf16-mapped') => {
      const job = createJob(world, world.data, createSettings({}, { lora, weights }));
      const { reference, fingerprint } = await loadStart({ ...job, paths: { ...job.paths, policy } });
      disposeModel(reference);
      return fingerprint.weights;
    };
    expect(await formOf('bf16-mapped')).toBe('bf16-mapped');
    expect(await formOf('auto')).toBe('f32');
  },
);
