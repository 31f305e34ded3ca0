import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { openBackend, readSafetensors, writeSafetensors, type StoredTensor } from '@surefoot/tensor';
import { goldenPath } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  assertVocabularyFits,
  disposeModel,
  inspectModel,
  loadModel,
  loadTokenizer,
  parseModelConfig,
  saveModel,
  withRewardHead,
  type LanguageModel,
} from './index';
import { tinyConfig, tinyModel, withFolder, writeTokenizer } from './testing';

beforeAll(async () => {
  await openBackend('wasm');
});

const valuesOf = (model: LanguageModel) =>
  Object.fromEntries([...model.parameters].map(([name, parameter]) => [name, [...parameter.dataSync()]]));
const json = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** A folder with a saved tiny model in it. */
async function withSavedModel(run: (folder: string, model: LanguageModel) => Promise<void>, model = tinyModel()) {
  await withFolder(async (parent) => {
    const tokenizerFolder = join(parent, 'tokenizer');
    const folder = join(parent, 'model');
    await mkdir(tokenizerFolder);
    await mkdir(folder);
    await writeTokenizer(tokenizerFolder);
    await saveModel(model, folder, { tokenizerFolder });
    await run(folder, model);
  }).finally(() => disposeModel(model));
}

describe('a saved model', () => {
  test.each([
    ['tied', {}],
    ['untied', { tiedHead: false }],
    ['reward', { head: 'reward' as const }],
  ])('%s: loads with the same config and bits, and saves to the same bytes', async (_, overrides) => {
    await withSavedModel(async (folder, model) => {
      const loaded = await loadModel(folder);
      expect(valuesOf(loaded)).toEqual(valuesOf(model));
      // A reward model that names no pad token is given one.
      const given = { raw: expect.anything(), padTokenId: model.config.head === 'reward' ? 0 : undefined };
      expect(loaded.config).toEqual({ ...model.config, ...given });
      const again = `${folder}-again`;
      await mkdir(again);
      await saveModel(loaded, again, { tokenizerFolder: folder });
      expect(await readdir(again)).toEqual(await readdir(folder));
      for (const name of await readdir(folder))
        expect(await readFile(join(again, name))).toEqual(await readFile(join(folder, name)));
      disposeModel(loaded);
    }, tinyModel(overrides));
  });

  test('keeps what it does not know of its source, and writes what transformers needs', async () => {
    const config = parseModelConfig({ ...tinyConfig().raw, task_specific_params: { a: 1 }, use_cache: true }, 'here');
    const source = tinyModel();
    await withSavedModel(
      async (folder) => {
        expect(await json(folder, 'config.json')).toMatchObject({
          task_specific_params: { a: 1 },
          use_cache: true,
          architectures: ['GPT2LMHeadModel'],
          model_type: 'gpt2',
          vocab_size: 13,
          n_embd: 16,
          n_positions: 24,
          tie_word_embeddings: true,
          eos_token_id: 1,
        });
        expect((await readSafetensors(join(folder, 'model.safetensors'))).metadata).toEqual({ format: 'pt' });
        expect(existsSync(join(folder, 'generation_config.json'))).toBe(true);
      },
      { ...source, config },
    );
  });

  test('has floats in its config.json as Python writes them, which transformers insists on', async () => {
    const fields = {
      layer_norm_epsilon: 1,
      final_logit_softcapping: 30,
      rope_parameters: { rope_theta: 10000, factor: 8, original_max_position_embeddings: 16 },
      rms_norm_eps: 1e-6,
      attn_logit_softcapping: null,
      note: '\n"factor": 8',
    };
    const source = tinyModel();
    const config = parseModelConfig({ ...source.config.raw, ...fields }, 'here');
    await withSavedModel(
      async (folder) => {
        const text = await readFile(join(folder, 'config.json'), 'utf8');
        expect(JSON.parse(text)).toMatchObject(fields);
        for (const line of [
          '  "layer_norm_epsilon": 1.0,',
          '  "final_logit_softcapping": 30.0,',
          '    "rope_theta": 10000.0,',
          '    "factor": 8.0,',
          '    "original_max_position_embeddings": 16',
          '  "rms_norm_eps": 0.000001,',
        ])
          expect(text.split('\n')).toContain(line);
      },
      { ...source, config },
    );
  });

  test('with a reward head has one label and a pad token that ends no response', async () => {
    const language = tinyModel();
    await withSavedModel(
      async (folder, reward) => {
        expect(await json(folder, 'config.json')).toMatchObject({
          architectures: ['GPT2ForSequenceClassification'],
          id2label: { '0': 'LABEL_0' },
          pad_token_id: 0,
          eos_token_id: 1,
        });
        expect(reward.parameters.get('score.weight')!.shape).toEqual([1, 16]);
        expect(valuesOf(reward)).toMatchObject(valuesOf(language));
        await expect(loadModel(folder, { head: 'causal-lm' })).rejects.toMatchObject({
          kind: 'failed_precondition',
          message: expect.stringContaining('a causal-lm model is needed'),
        });
      },
      withRewardHead(language, 1),
    );
    disposeModel(language);
  });

  test('that is not finite is not written', async () => {
    const model = tinyModel();
    tf.tidy(() => model.parameters.get('transformer.ln_f.bias')!.assign(tf.fill([16], NaN)));
    await withFolder(async (folder) => {
      await expect(saveModel(model, folder, { tokenizerFolder: folder })).rejects.toMatchObject({
        kind: 'diverged',
        message: expect.stringContaining('transformer.ln_f.bias'),
      });
      expect(await readdir(folder)).toEqual([]);
    });
    disposeModel(model);
  });

  test('is described without problems', async () => {
    await withSavedModel(async (folder, model) => {
      const description = await inspectModel(folder);
      expect(description).toMatchObject({
        config: { architecture: 'gpt2', head: 'causal-lm', layers: 2 },
        tokenizer: { vocabularySize: 13, bosTokenId: 0, eosTokenId: 1, hasChatTemplate: false },
        problems: [],
      });
      const count = [...model.parameters.values()].reduce((sum, { size }) => sum + size, 0);
      expect(description.parameters).toBe(count);
      expect(description.digest).toMatch(/^[0-9a-f]{64}$/);
    });
  });
});

/** Rewrites the weights of a folder. */
async function changeWeights(folder: string, change: (tensors: Map<string, StoredTensor>) => void): Promise<void> {
  const path = join(folder, 'model.safetensors');
  const { tensors } = await readSafetensors(path);
  change(tensors);
  await writeSafetensors(path, tensors);
}

test.each([NaN, Infinity, -Infinity])('a weight of %f is refused by file and name, once it is read', async (value) => {
  await withSavedModel(async (folder) => {
    await changeWeights(folder, (tensors) => void (tensors.get('transformer.h.1.ln_2.bias')!.data[3] = value));
    const held = tf.memory().numTensors;
    await expect(loadModel(folder)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: `${folder}/model.safetensors: weight transformer.h.1.ln_2.bias holds values that are not finite`,
    });
    expect(tf.memory().numTensors).toBe(held);
  });
});

test('a tied head may be stored once more', async () => {
  await withSavedModel(async (folder, model) => {
    await changeWeights(folder, (tensors) => tensors.set('lm_head.weight', tensors.get('transformer.wte.weight')!));
    const loaded = await loadModel(folder);
    expect(valuesOf(loaded)).toEqual(valuesOf(model));
    disposeModel(loaded);
  });
});

describe('a folder that does not load says which file and what is wrong', () => {
  test.each<[string, (folder: string) => Promise<unknown>, string, string]>([
    ['no folder', (folder) => rename(folder, `${folder}-moved`), 'not_found', 'does not exist'],
    ['no config.json', (folder) => rm(join(folder, 'config.json')), 'not_found', 'config.json'],
    ['config.json cut short', (folder) => truncate(join(folder, 'config.json'), 30), 'invalid_argument', 'is not JSON'],
    ['no weights', (folder) => rm(join(folder, 'model.safetensors')), 'not_found', 'no model.safetensors'],
    [
      'truncated weights',
      (folder) => truncate(join(folder, 'model.safetensors'), 9000),
      'invalid_argument',
      'model.safetensors',
    ],
    [
      'a missing weight',
      (folder) => changeWeights(folder, (tensors) => tensors.delete('transformer.h.1.ln_2.bias')),
      'invalid_argument',
      'weight transformer.h.1.ln_2.bias is missing',
    ],
    [
      'an extra weight',
      (folder) =>
        changeWeights(folder, (tensors) => tensors.set('h.2.ln_1.bias', { shape: [1], data: Float32Array.of(0) })),
      'invalid_argument',
      'weight transformer.h.2.ln_1.bias belongs to no part of the model',
    ],
    [
      'a weight under both its names',
      (folder) => changeWeights(folder, (tensors) => tensors.set('wpe.weight', tensors.get('transformer.wpe.weight')!)),
      'invalid_argument',
      'is given twice',
    ],
    [
      'a tied head that differs from the table it is tied to',
      (folder) =>
        changeWeights(folder, (tensors) => {
          const { shape, data } = tensors.get('transformer.wte.weight')!;
          tensors.set('lm_head.weight', { shape, data: data.map((value, i) => (i === 7 ? 0 : value)) });
        }),
      'invalid_argument',
      'weight lm_head.weight differs from the embedding table',
    ],
    [
      'a weight of another shape',
      (folder) =>
        changeWeights(folder, (tensors) =>
          tensors.set('transformer.wte.weight', { shape: [12, 16], data: new Float32Array(12 * 16) }),
        ),
      'invalid_argument',
      'weight transformer.wte.weight has shape [12, 16], config.json makes it [13, 16]',
    ],
    [
      'an index that points out of the folder',
      async (folder) => {
        await rm(join(folder, 'model.safetensors'));
        const index = { weight_map: { a: '../other.safetensors' } };
        await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
      },
      'invalid_argument',
      'has no weight_map from weights to file names',
    ],
    [
      'a shard that is not there',
      async (folder) => {
        await rm(join(folder, 'model.safetensors'));
        const index = { weight_map: { a: 'model-00001-of-00001.safetensors' } };
        await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
      },
      'not_found',
      'model-00001-of-00001.safetensors',
    ],
  ])('%s', async (_, damage, kind, message) => {
    await withSavedModel(async (folder) => {
      await damage(folder);
      await expect(loadModel(folder)).rejects.toMatchObject({ kind, message: expect.stringContaining(message) });
      if (message === 'does not exist') return;
      const { problems } = await inspectModel(folder);
      expect(problems).toEqual([expect.stringContaining(message)]);
    });
  });

  test('a tokenizer with more ids than the model has rows', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      const tokenizer = await loadTokenizer(folder);
      expect(() => assertVocabularyFits(tokenizer, tinyConfig({ vocabularySize: 20 }))).not.toThrow();
      expect(() => assertVocabularyFits(tokenizer, tinyConfig({ vocabularySize: 12 }))).toThrow(
        'the tokenizer has ids up to 12',
      );
    });
  });
});

describe('golden model folders', () => {
  const folders = ['gpt2', 'gpt2-bf16', 'gpt2-sharded', 'gpt2-legacy-names'];
  const available = goldenPath('models', 'gpt2') !== undefined;

  (available ? test.each(folders) : test.skip.each(folders))('%s: load, save, load is bit-equal', async (name) => {
    const golden = goldenPath('models', name)!;
    const model = await loadModel(golden);
    await withFolder(async (folder) => {
      await saveModel(model, folder, { tokenizerFolder: golden });
      const again = await loadModel(folder);
      expect(valuesOf(again)).toEqual(valuesOf(model));
      expect((await loadTokenizer(folder)).digest).toBe((await loadTokenizer(golden)).digest);
      expect((await inspectModel(golden)).problems).toEqual([]);
      disposeModel(again);
    });
    disposeModel(model);
  });

  (available ? test : test.skip)('eos tokens of generation_config.json count', async () => {
    await withFolder(async (folder) => {
      await cp(goldenPath('models', 'gpt2')!, folder, { recursive: true });
      await writeFile(join(folder, 'generation_config.json'), '{"eos_token_id": [383, 7]}');
      const model = await loadModel(folder);
      expect(model.config.eosTokenIds).toEqual([383, 7]);
      disposeModel(model);
    });
  });
});
