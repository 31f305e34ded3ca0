import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { digestFile, digestText } from '@surefoot/files';
import { currentBackend, heldBytes, isBfloat16, openBackend } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  cloneModel,
  convertModel,
  disposeModel,
  hiddenStates,
  loadModel,
  logits,
  packSequences,
  sample,
  saveModel,
  sequenceLogProbabilities,
  weightBytes,
  writeNewModel,
  type LanguageModel,
} from './index';
import { tinyConfig, tinyModel, withFolder, writeTokenizer } from './testing';

const available = goldenPath('models', 'gpt2') !== undefined;
const goldenTest = available ? test : test.skip;
const hasTensorflow = testBackends.some(({ title }) => title.startsWith('tensorflow'));
const families = ['gpt2-bf16', 'llama', 'gemma', 'gemma2', 'qwen2', 'mistral'];

/** A copy of a golden model in BF16, aligned. */
async function withConverted(name: string, run: (folder: string) => Promise<void>) {
  await withFolder(async (parent) => {
    const folder = join(parent, 'model');
    await mkdir(folder);
    expect(await convertModel(goldenPath('models', name)!, folder, { dtype: 'bf16' })).toEqual({ dtype: 'bf16' });
    await run(folder);
  });
}

const sequences = [Int32Array.of(5, 9, 1, 30, 7, 7), Int32Array.of(8, 2, 3)];
const logitsOf = (model: LanguageModel) => {
  const scores = tf.tidy(() => logits(model, hiddenStates(model, packSequences(sequences))));
  const values = scores.dataSync();
  scores.dispose();
  return values;
};

(hasTensorflow ? describe : describe.skip)('weights mapped as BF16', () => {
  beforeAll(async () => {
    await openBackend('tensorflow', { bfloat16: 'cast' });
  });

  (available ? test.each(families) : test.skip.each(families))(
    '%s computes what the same weights in float32 compute',
    async (name) => {
      await withConverted(name, async (folder) => {
        await expect(async () => {
          const before = heldBytes();
          const mapped = await loadModel(folder, { weights: 'bf16-mapped', trainable: false });
          expect(mapped.weights).toEqual({ form: 'bf16-mapped' });
          // Vectors alone are memory.
          expect(heldBytes() - before).toBeLessThan(weightBytes(mapped.config) / 20);
          const wide = await loadModel(folder, { weights: 'f32', trainable: false });
          expect(wide.weights).toEqual({ form: 'f32' });
          expect(logitsOf(mapped)).toBeAllclose(logitsOf(wide), { atol: 2e-5 });
          const [a, b] = [
            await sequenceLogProbabilities(mapped, sequences),
            await sequenceLogProbabilities(wide, sequences),
          ];
          a.logProbabilities.forEach((row, i) => expect(row).toBeAllclose(b.logProbabilities[i]!, { atol: 2e-5 }));
          const options = { maxNewTokens: 6, greedy: true, eosTokenIds: [], random: () => ({}) as never };
          expect(await sample(mapped, sequences, options)).toEqual(await sample(wide, sequences, options));
          const copy = cloneModel(mapped);
          disposeModel(mapped);
          expect(logitsOf(copy)).toBeAllclose(logitsOf(wide), { atol: 2e-5 });
          disposeModel(copy);
          disposeModel(wide);
        }).toNotLeakTensors();
      });
    },
  );

  goldenTest('saved in bf16 they are the bytes they were read from', async () => {
    await withConverted('llama', async (folder) => {
      const model = await loadModel(folder, { weights: 'bf16-mapped', trainable: false });
      const again = `${folder}-again`;
      await mkdir(again);
      await saveModel(model, again, { tokenizerFolder: folder, dtype: 'bf16' });
      for (const name of ['model.safetensors', 'config.json'])
        expect(await digestFile(join(again, name))).toBe(await digestFile(join(folder, name)));
      disposeModel(model);
    });
  });

  goldenTest(
    'a file that is not aligned is held as BF16 all the same, with a warning that says what to do',
    async () => {
      const model = await loadModel(goldenPath('models', 'gpt2-bf16')!, { weights: 'bf16-mapped', trainable: false });
      expect(isBfloat16(model.parameters.get('transformer.wte.weight')!)).toBe(true);
      expect(model.weights).toMatchObject({
        form: 'bf16-mapped',
        warning: expect.stringMatching(
          /gpt2-bf16: \d+ matrices do not begin at a multiple of 64 .*: surefoot model convert/,
        ),
      });
      disposeModel(model);
    },
  );

  goldenTest('such matrices need room, and without it nothing is read', async () => {
    const folder = goldenPath('models', 'gpt2-bf16')!;
    const memoryBytes = jest.spyOn(currentBackend(), 'memoryBytes', 'get');
    memoryBytes.mockReturnValue((heldBytes() + 1000) / 0.85);
    try {
      await expect(loadModel(folder, { weights: 'bf16-mapped', trainable: false })).rejects.toMatchObject({
        kind: 'resource_exhausted',
        message: expect.stringMatching(
          /gpt2-bf16 needs [\d.]+ KiB for matrices that are not aligned; .*: write an aligned one: surefoot model convert/,
        ),
      });
      await withConverted('gpt2-bf16', async (aligned) =>
        disposeModel(await loadModel(aligned, { weights: 'bf16-mapped', trainable: false })),
      );
    } finally {
      memoryBytes.mockRestore();
    }
  });

  goldenTest('a folder that is replaced keeps what is mapped of the old one', async () => {
    await withConverted('llama', async (folder) => {
      const model = await loadModel(folder, { weights: 'bf16-mapped', trainable: false });
      const before = logitsOf(model);
      await rename(folder, `${folder}-old`);
      await rm(`${folder}-old`, { recursive: true });
      expect(logitsOf(model)).toEqual(before);
      disposeModel(model);
    });
  });

  goldenTest('what cannot be held so is refused with the reason', async () => {
    const refused = (name: string, options: Parameters<typeof loadModel>[1], message: string) =>
      expect(loadModel(goldenPath('models', name)!, options)).rejects.toMatchObject({
        kind: 'failed_precondition',
        message: expect.stringContaining(message),
      });
    await refused('gpt2-bf16', { weights: 'bf16-mapped' }, 'cannot be trained');
    await refused('gpt2', { weights: 'bf16-mapped', trainable: false }, 'write an aligned one: surefoot model convert');
    await openBackend('wasm');
    await refused('gpt2-bf16', { weights: 'bf16-mapped', trainable: false }, 'backend wasm cannot map them');
    await openBackend('tensorflow', { bfloat16: 'cast' });
  });

  goldenTest('a small model is not mapped by itself', async () => {
    await withConverted('llama', async (folder) => {
      const model = await loadModel(folder, { trainable: false });
      expect(model.weights).toEqual({ form: 'f32' });
      expect([...model.parameters.values()].some(({ trainable }) => trainable)).toBe(false);
      disposeModel(model);
    });
  });
});

describe('written models', () => {
  beforeAll(async () => {
    await openBackend('wasm');
  });

  const names = [
    'gpt2',
    'gpt2-bf16',
    'gpt2-sharded',
    'gpt2-legacy-names',
    'llama',
    'llama-reward',
    'gemma',
    'gemma-reward',
  ];
  const more = ['gemma2', 'llama-head-dim', 'llama-head-dim-v4', 'mistral', 'qwen2'];
  (available ? test.each([...names, ...more]) : test.skip.each(names))(
    '%s: written in f32 in shards and read again they are the same bits, in bf16 after the first rounding',
    async (name) => {
      const golden = goldenPath('models', name)!;
      const values = async (folder: string) => {
        const model = await loadModel(folder);
        const entries = [...model.parameters].map(([key, parameter]) => [
          key,
          digestText(Buffer.from(parameter.dataSync().slice().buffer).toString('latin1')),
        ]);
        disposeModel(model);
        return Object.fromEntries(entries);
      };
      await withFolder(async (parent) => {
        const folders = ['sharded', 'rounded', 'again'].map((folder) => join(parent, folder)) as [
          string,
          string,
          string,
        ];
        for (const folder of folders) await mkdir(folder);
        await convertModel(golden, folders[0], { dtype: 'f32', maxShardBytes: 50_000 });
        expect(await readdir(folders[0])).toContain('model.safetensors.index.json');
        expect(await values(folders[0])).toEqual(await values(golden));
        await convertModel(golden, folders[1], { dtype: 'bf16' });
        await convertModel(folders[1], folders[2]);
        expect(await digestFile(join(folders[2], 'model.safetensors'))).toBe(
          await digestFile(join(folders[1], 'model.safetensors')),
        );
        if (name === 'gpt2-bf16') expect(await values(folders[1])).toEqual(await values(golden));
      });
    },
  );

  test('shards are as large as asked for, and the index names each weight once', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      const model = tinyModel();
      await saveModel(model, folder, { tokenizerFolder: folder, maxShardBytes: 5000 });
      const { metadata, weight_map: map } = JSON.parse(
        await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'),
      );
      expect(metadata).toEqual({ total_size: weightBytes(model.config) });
      expect(Object.keys(map)).toEqual([...model.parameters.keys()]);
      const files = [...new Set(Object.values<string>(map))];
      expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`);
      expect(existsSync(join(folder, 'model.safetensors'))).toBe(false);
      const again = await loadModel(folder);
      expect(again.parameters.get('transformer.h.1.mlp.c_fc.weight')!.dataSync()).toEqual(
        model.parameters.get('transformer.h.1.mlp.c_fc.weight')!.dataSync(),
      );
      disposeModel(again);
      disposeModel(model);
    });
  });

  test('a new model written piece by piece has the values of one that was created', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      const initialisation = {
        ...{ tokenEmbedding: 0.6, positionEmbedding: 0.6, head: 0.6 },
        ...{ matrices: 'fan-in' as const, outputProjectionsByDepth: true },
      };
      await writeNewModel(tinyConfig(), 1, folder, { tokenizerFolder: folder, initialisation });
      const [written, created] = [await loadModel(folder), tinyModel()];
      for (const [name, parameter] of created.parameters)
        expect(written.parameters.get(name)!.dataSync()).toEqual(parameter.dataSync());
      disposeModel(written);
      disposeModel(created);
    });
  });

  test.each(['pytorch_model.bin', 'model.pt', 'consolidated.00.pth'])(
    'weights only in %s are refused with the reason and the remedy',
    async (file) => {
      await withFolder(async (folder) => {
        await writeTokenizer(folder);
        await writeFile(join(folder, 'config.json'), JSON.stringify(tinyConfig().raw));
        await writeFile(join(folder, file), 'x');
        await expect(loadModel(folder)).rejects.toMatchObject({
          kind: 'invalid_argument',
          message: expect.stringMatching(new RegExp(`only as ${file}: .*can run any program.*save_pretrained`)),
        });
      });
    },
  );

  goldenTest('what generation_config.json says besides is kept by a conversion', async () => {
    await withFolder(async (parent) => {
      const [from, to] = [join(parent, 'from'), join(parent, 'to')];
      await cp(goldenPath('models', 'llama')!, from, { recursive: true });
      await mkdir(to);
      const generation = { eos_token_id: [1, 7], temperature: 0.6, top_p: 0.9 };
      await rm(join(from, 'generation_config.json'), { force: true });
      await writeFile(join(from, 'generation_config.json'), JSON.stringify(generation));
      await convertModel(from, to);
      expect(JSON.parse(await readFile(join(to, 'generation_config.json'), 'utf8'))).toMatchObject(generation);
    });
  });
});
