import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { logProbability, openBackend, readSafetensors, writeSafetensors, type StoredTensor } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { adapterParameters, createAdapter, disposeAdapter, mergeAdapter, unmergeAdapter } from './adapter';
import { loadAdapter, saveAdapter } from './adapter-folder';
import { convertModel } from './convert-model';
import { hiddenStates, logits, rewardScores } from './decoder';
import { mergeModel } from './merge-model';
import { loadModel, saveModel } from './model-folder';
import { modelGradients } from './model-gradients';
import { disposeModel, trainableParameters, type LanguageModel } from './model';
import { randomSequences, tinyModel, withFolder, writeTokenizer } from './testing';
import { packSequences, responseRows } from './token-batch';

const batch = packSequences(randomSequences([7, 5]));
const logitsOf = async (model: LanguageModel) => {
  const scores = tf.tidy(() => logits(model, hiddenStates(model, batch)));
  const data = await scores.data();
  scores.dispose();
  return data;
};
/** Any values but those at the start, where an adapter changes nothing. */
function disturb(adapted: LanguageModel, by = 0.3): void {
  for (const parameter of adapterParameters(adapted.adapter!).values())
    tf.tidy(() =>
      parameter.assign(tf.add(parameter, tf.mul(tf.sin(tf.range(1, parameter.size + 1)), by).reshape(parameter.shape))),
    );
}

describe('an adapter', () => {
  beforeAll(async () => {
    await openBackend('wasm');
  });

  test('that is new changes nothing, is all that is trained, and is the same for the same seed', async () => {
    await expect(async () => {
      const model = tinyModel();
      const before = await logitsOf(model);
      const [one, again, other] = [1, 1, 2].map((seed) => createAdapter(model, { r: 3 }, seed)) as [
        LanguageModel,
        LanguageModel,
        LanguageModel,
      ];
      expect(await logitsOf(one)).toEqual(before);
      const names = [...trainableParameters(one).keys()];
      expect(names).toHaveLength(16);
      expect(trainableParameters(model).size).toBe(0);
      const values = async (adapted: LanguageModel, which: RegExp) => {
        const chosen = [...trainableParameters(adapted)].filter(([name]) => which.test(name));
        return Promise.all(chosen.map(([, parameter]) => parameter.data()));
      };
      expect(await values(again, /lora/)).toEqual(await values(one, /lora/));
      expect(await values(other, /lora_A/)).not.toEqual(await values(one, /lora_A/));
      expect((await values(one, /lora_B/)).every((data) => data.every((value) => value === 0))).toBe(true);
      // Uniform within 1 / sqrt(inputs): 1/4 of 16 inputs, 1/8 of 64.
      const largest = (await values(one, /h\.0.*lora_A/)).map((data) => Math.max(...data.map(Math.abs)));
      for (const [i, bound] of [1 / 4, 1 / 4, 1 / 4, 1 / 8].entries()) {
        expect(largest[i]).toBeLessThanOrEqual(bound);
        expect(largest[i]).toBeGreaterThan(0.8 * bound);
      }
      for (const each of [one, again, other]) disposeAdapter(each);
      disposeModel(model);
    }).toNotLeakTensors();
  });

  test('that is merged and unmerged leaves every bit of the base and of itself', async () => {
    await expect(async () => {
      const adapted = createAdapter(tinyModel({ tiedHead: false }), { r: 2, modulesToSave: ['ln_f'] }, 1);
      disturb(adapted);
      const all = [...adapted.parameters, ...adapterParameters(adapted.adapter)];
      const bits = () =>
        Promise.all(all.map(async ([, parameter]) => new Uint32Array((await parameter.data()).buffer)));
      const before = { bits: (await bits()).map((each) => each.slice()), logits: (await logitsOf(adapted)).slice() };
      const merged = mergeAdapter(adapted);
      expect(await logitsOf(merged)).toBeAllclose(before.logits, { atol: 5e-5, rtol: 1e-5 });
      unmergeAdapter(merged, adapted);
      expect(await bits()).toEqual(before.bits);
      expect(await logitsOf(adapted)).toEqual(before.logits);
      disposeModel(adapted);
    }).toNotLeakTensors();
  });

  test('is loaded, saved and loaded with the same bits, and with what it does not know', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      const model = tinyModel({ head: 'reward' });
      const adapted = createAdapter(model, { r: 2, targetModules: '.*c_(attn|fc)', rslora: true }, 1);
      disturb(adapted);
      const [once, twice] = ['once', 'twice'].map((name) => join(folder, name)) as [string, string];
      for (const path of [once, twice]) mkdirSync(path);
      await saveAdapter(adapted, once, { base: '../base', tokenizerFolder: folder });
      expect(readdirSync(once)).toEqual(expect.arrayContaining(['adapter_config.json', 'tokenizer.json']));
      const json = JSON.parse(readFileSync(join(once, 'adapter_config.json'), 'utf8'));
      expect(json).toMatchObject({ task_type: 'SEQ_CLS', fan_in_fan_out: true, base_model_name_or_path: '../base' });
      writeFileSync(join(once, 'adapter_config.json'), JSON.stringify({ ...json, peft_version: '9.9' }));
      const { tensors } = await readSafetensors(join(once, 'adapter_model.safetensors'));
      expect([...tensors.keys()]).toContain('base_model.model.score.weight');

      const loaded = await loadAdapter(model, once);
      await saveAdapter(loaded, twice, { base: '../base' });
      const bytes = (path: string) => readFileSync(join(path, 'adapter_model.safetensors'));
      expect(bytes(twice).equals(bytes(once))).toBe(true);
      await expect(loadModel(once)).rejects.toThrow('holds an adapter and no model: merge it into its base first');
      expect(JSON.parse(readFileSync(join(twice, 'adapter_config.json'), 'utf8')).peft_version).toBe('9.9');
      for (const each of [adapted, loaded]) disposeAdapter(each);
      disposeModel(model);
    });
  });

  test('of a reward model makes one of a language model, and is refused the other way round', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      const paths = ['lm', 'adapter', 'merged'].map((name) => join(folder, name)) as [string, string, string];
      const [lm, path, merged] = paths;
      for (const each of paths) mkdirSync(each);
      const reward = tinyModel({ head: 'reward' });
      const adapted = createAdapter(reward, { r: 2 }, 1);
      disturb(adapted);
      await saveAdapter(adapted, path, { base: lm });
      const language = tinyModel({ tiedHead: false });
      await saveModel(language, lm, { tokenizerFolder: folder });
      const scoresOf = async (model: LanguageModel) => {
        const scores = tf.tidy(() => rewardScores(model, batch));
        const data = await scores.data();
        scores.dispose();
        return data;
      };
      const expected = await scoresOf(adapted);
      await expect(async () => {
        const loaded = await loadModel(lm, { adapter: path, head: 'reward' });
        expect(await scoresOf(loaded)).toEqual(expected);
        disposeModel(loaded);
      }).toNotLeakTensors();

      await mergeModel(lm, path, merged);
      const whole = await loadModel(merged, { head: 'reward' });
      expect(await scoresOf(whole)).toBeAllclose(expected, { atol: 5e-5, rtol: 1e-5 });
      const forLanguage = createAdapter(language, { r: 2 }, 1);
      await saveAdapter(forLanguage, path, { base: lm });
      await expect(loadAdapter(reward, path)).rejects.toMatchObject({ kind: 'failed_precondition' });
      // What the language model's generation_config.json says besides is kept, and a reward model has none.
      const generation = { eos_token_id: [1, 7], temperature: 0.6 };
      writeFileSync(join(lm, 'generation_config.json'), JSON.stringify(generation));
      expect(readdirSync(merged)).not.toContain('generation_config.json');
      await mergeModel(lm, path, merged);
      expect(JSON.parse(readFileSync(join(merged, 'generation_config.json'), 'utf8'))).toEqual(generation);
      await expect(saveModel(forLanguage, lm, { tokenizerFolder: folder })).rejects.toThrow('merged first');
      disposeModel(adapted);
      disposeModel(forLanguage);
      disposeModel(whole);
    });
  });

  test('whose tensors do not fit is refused with file and tensor', async () => {
    await withFolder(async (folder) => {
      const model = tinyModel();
      const adapted = createAdapter(model, { r: 2, targetModules: ['c_attn'] }, 1);
      await saveAdapter(adapted, folder, { base: 'base' });
      const path = join(folder, 'adapter_model.safetensors');
      const { tensors } = await readSafetensors(path);
      const name = 'base_model.model.transformer.h.1.attn.c_attn.lora_B.weight';
      const change = async (changed: Map<string, { shape: number[]; data: Float32Array }>) => {
        await writeSafetensors(path, changed);
        return loadAdapter(model, folder);
      };
      const without = new Map([...tensors].filter(([each]) => each !== name));
      await expect(change(without)).rejects.toThrow(
        `${path}: tensor ${name} is missing; the adapter was made for base`,
      );
      const turned = new Map(tensors).set(name, { shape: [2, 48], data: new Float32Array(96) });
      await expect(change(turned)).rejects.toThrow(
        'has shape [2, 48], model and adapter_config.json make it [48, 2]; the adapter was made for base',
      );
      const more = new Map(tensors).set('base_model.model.x', { shape: [1], data: new Float32Array(1) });
      await expect(change(more)).rejects.toThrow('tensor base_model.model.x belongs to nothing');
      renameSync(path, join(folder, 'adapter_model.bin'));
      await expect(loadAdapter(model, folder)).rejects.toThrow('pickled files can run code');
      await expect(loadAdapter(model, join(folder, 'nowhere'))).rejects.toMatchObject({ kind: 'not_found' });
      disposeModel(adapted);
    });
  });

  test("of a head comes with PEFT's copies of head and embedding, which must be the model's", async () => {
    await withFolder(async (folder) => {
      const [lm, path, merged] = ['lm', 'adapter', 'merged'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      for (const each of [lm, path, merged]) mkdirSync(each);
      await writeTokenizer(folder);
      const model = tinyModel({ tiedHead: false });
      await saveModel(model, lm, { tokenizerFolder: folder });
      const adapted = createAdapter(model, { r: 2, targetModules: ['c_attn', 'lm_head'] }, 1);
      disturb(adapted);
      await saveAdapter(adapted, path, { base: 'base' });
      const file = join(path, 'adapter_model.safetensors');
      const { tensors } = await readSafetensors(file);
      const withCopies = (copies: [name: string, parameter: string, by: number][]) => {
        const copied = copies.map(([name, parameter, by]): [string, StoredTensor] => {
          const data = model.parameters.get(parameter)!.dataSync() as Float32Array;
          return [`base_model.model.${name}`, { shape: [13, 16], data: data.map((value) => value * by) }];
        });
        return writeSafetensors(file, new Map([...tensors, ...copied]));
      };
      const expected = await logitsOf(adapted);
      for (const [name, parameter] of [
        ['lm_head.base_layer.weight', 'lm_head.weight'],
        ['lm_head.weight', 'lm_head.weight'],
        ['transformer.wte.weight', 'transformer.wte.weight'],
      ] as const) {
        // As far off as rounding to BF16 may be.
        await withCopies([[name, parameter, 1 + 2 ** -9]]);
        const loaded = await loadModel(lm, { adapter: path });
        expect(await logitsOf(loaded)).toEqual(expected);
        disposeModel(loaded);
        await withCopies([[name, parameter, 1.01]]);
        const refusal = { kind: 'invalid_argument', message: expect.stringContaining(`another ${parameter} than`) };
        const held = tf.memory().numTensors;
        await expect(loadModel(lm, { adapter: path })).rejects.toMatchObject(refusal);
        await expect(loadAdapter(model, path)).rejects.toMatchObject(refusal);
        await expect(mergeModel(lm, path, merged)).rejects.toMatchObject(refusal);
        expect(tf.memory().numTensors).toBe(held);
      }
      await withCopies([
        ['lm_head.weight', 'lm_head.weight', 1.01],
        ['lm_head.base_layer.weight', 'lm_head.weight', 1],
      ]);
      await expect(loadAdapter(model, path)).rejects.toThrow('another lm_head.weight than');
      disposeModel(adapted);
    });
  });
});

const available = goldenPath('models', 'gemma') !== undefined;

// The weights are BF16 in the file, so that both ways of holding them hold the same numbers.
describe.each(testBackends.filter(({ title }) => title.startsWith('tensorflow')))(
  'on weights mapped on $title',
  ({ open }) => {
    (available ? test : test.skip)('an adapter has the outputs and gradients that it has on float32', async () => {
      await open();
      await withFolder(async (folder) => {
        await convertModel(goldenPath('models', 'gemma')!, folder, { dtype: 'bf16' });
        const [held, mapped] = await Promise.all(
          (['f32', 'bf16-mapped'] as const).map((weights) => loadModel(folder, { weights, trainable: false })),
        );
        const both = [held!, mapped!].map((model) => createAdapter(model, { r: 2 }, 1));
        for (const each of both) disturb(each, 0.05);
        const { rows, targets } = responseRows(batch, new Int32Array(2).fill(1));
        const results = await Promise.all(
          both.map(async (model) => {
            const loss = (x: tf.Tensor2D): tf.Scalar => tf.neg(tf.mean(logProbability(logits(model, x), targets)));
            const { value, gradients } = modelGradients(model, batch, rows, loss);
            const data = await Promise.all([value, ...gradients].map((tensor) => tensor.data()));
            tf.dispose([value, ...gradients]);
            const merged = mergeAdapter(model);
            const whole = await logitsOf(merged);
            unmergeAdapter(merged, model);
            const { config, parameters } = model;
            return { data, whole, off: await logitsOf({ config, parameters }) };
          }),
        );
        const [one, other] = results as [(typeof results)[0], (typeof results)[0]];
        for (const [i, data] of one.data.entries())
          expect(other.data[i]!).toBeAllclose(data, { atol: 1e-5, rtol: 1e-4 });
        expect(other.whole).toBeAllclose(one.whole, { atol: 5e-5, rtol: 1e-5 });
        expect(other.off).toBeAllclose(one.off, { atol: 5e-5, rtol: 1e-5 });
        both.forEach(disposeModel);
      });
    });
  },
);
