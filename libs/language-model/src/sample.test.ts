import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openBackend, randomStream } from '@surefoot/tensor';
import { testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  disposeModel,
  hiddenStates,
  logits,
  packSequences,
  sample,
  sequenceLogProbabilities,
  type LanguageModel,
} from './index';
import type { Sample } from './sample';
import { randomSequences, tinyModel } from './testing';
import { tinyFamilies, tinyOf } from './testing-families';

const prompts = randomSequences([3, 7, 1, 5, 5, 2, 6, 4, 3, 1]);
/** The log-probability of the likeliest token after each token of each text. */
async function likeliest(model: LanguageModel, texts: Int32Array[]): Promise<number[][]> {
  const batch = packSequences(texts);
  const best = tf.tidy(() => tf.max(tf.logSoftmax(logits(model, hiddenStates(model, batch))), 1));
  const values = await best.data();
  best.dispose();
  return texts.map(({ length }, row) => [...values.slice(row * batch.width, row * batch.width + length)]);
}

const random = (row: number) => randomStream(9, 'test', row);

describe.each(testBackends)('on $title', ({ title, open }) => {
  // Gemma 2 has what the others have; WebGPU in software takes minutes for so many tokens.
  const families = /plain/.test(title) ? ['gemma2' as const] : /webgpu/.test(title) ? [] : tinyFamilies;
  let model: LanguageModel;
  beforeAll(async () => {
    await open();
    model = tinyModel();
  });
  afterAll(() => disposeModel(model));

  test('a row is the same alone, in any batch, and among rows that end before it', async () => {
    const together = await sample(model, prompts, { maxNewTokens: 15, random });
    expect(new Set(together.map(({ finish }) => finish)).size).toBe(2);
    for (const batchSize of [1, 3, 4])
      expect(await sample(model, prompts, { maxNewTokens: 15, random, batchSize })).toEqual(together);
    const reversed = await sample(model, [...prompts].reverse(), {
      maxNewTokens: 15,
      random: (row) => random(prompts.length - 1 - row),
    });
    expect(reversed.reverse()).toEqual(together);
  });

  for (const family of families)
    test(`${family}: the same while the cache grows, and what the model without a cache says`, async () => {
      const decoder = tinyOf(family);
      const few = prompts.slice(0, 2);
      const options = { maxNewTokens: 70, greedy: true, eosTokenIds: [], random };
      const samples = await sample(decoder, few, options);
      expect(await sample(decoder, few, { ...options, batchSize: 1 })).toEqual(samples);
      const whole = samples.map(({ ids }, row) => Int32Array.of(...few[row]!, ...ids));
      const { logProbabilities } = await sequenceLogProbabilities(decoder, whole);
      // The likeliest token after each text, near ties aside: no other is likelier by more than rounding.
      const rivals = await likeliest(decoder, whole);
      logProbabilities.forEach((row, r) => {
        const first = few[r]!.length - 1;
        row.subarray(first).forEach((value, i) => expect(rivals[r]![first + i]! - value).toBeLessThan(1e-4));
      });
      disposeModel(decoder);
    });

  test('no tensors are left behind, also when a stream throws', async () => {
    await expect(() => sample(model, prompts, { maxNewTokens: 15, random })).toNotLeakTensors();
    let draws = 0;
    const failing = () => ({
      ...randomStream(0),
      uniform: () => {
        if (++draws > 40) throw new Error('no more');
        return 0.5;
      },
    });
    await expect(async () => {
      await expect(sample(model, prompts, { maxNewTokens: 15, random: failing })).rejects.toThrow('no more');
    }).toNotLeakTensors();
  });
});

describe('sample', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    await openBackend('wasm');
    model = tinyModel();
  });
  afterAll(() => disposeModel(model));

  test('each token takes one draw of its row and each row is reported once', async () => {
    const draws = prompts.map(() => 0);
    const finished = new Map<number, Sample>();
    const samples = await sample(model, prompts, {
      maxNewTokens: 9,
      random: (row) => ({ ...randomStream(row), uniform: () => (++draws[row]! * 0.37) % 1 }),
      onFinished: (row, one) => {
        expect(finished.has(row)).toBe(false);
        finished.set(row, one);
      },
    });
    expect(draws).toEqual(samples.map(({ ids }) => ids.length));
    expect(prompts.map((_, row) => finished.get(row))).toEqual(samples);
  });

  test('an eos token ends a response and is part of it; without any a response has full length', async () => {
    for (const { ids, finish } of await sample(model, prompts, { maxNewTokens: 15, random })) {
      expect(ids.indexOf(1)).toBe(finish === 'eos' ? ids.length - 1 : -1);
      if (finish === 'length') expect(ids.length).toBe(15);
    }
    const endless = await sample(model, prompts, { maxNewTokens: 15, random, eosTokenIds: [] });
    expect(endless.every(({ ids, finish }) => ids.length === 15 && finish === 'length')).toBe(true);
  });

  test('frequencies of first tokens are the probabilities of the model', async () => {
    const prompt = Int32Array.of(0, 5, 2);
    const count = 2000;
    const rows = new Array<Int32Array>(count).fill(prompt);
    const samples = await sample(model, rows, { maxNewTokens: 1, random, temperature: 0.8, batchSize: 500 });
    const endings = Array.from({ length: 13 }, (_, id) => Int32Array.of(...prompt, id));
    const { logProbabilities } = await sequenceLogProbabilities(model, endings, { temperature: 0.8 });
    logProbabilities.forEach((row, id) => {
      const p = Math.exp(row[2]!);
      const frequency = samples.filter(({ ids }) => ids[0] === id).length / count;
      // Five standard errors.
      expect(Math.abs(frequency - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / count) + 1e-3);
    });
  });

  test.each([
    ['an empty prompt', [[]], {}, 'prompt 0 is empty'],
    ['a prompt that leaves too few positions', [[1], new Array(20).fill(2)], {}, 'the model has 24 positions'],
    ['an id outside the vocabulary', [[1, 13]], {}, 'prompt 0 has the id 13'],
    ['an id that is no whole number', [[1.5]], {}, 'prompt 0 has the id 1.5'],
    ['temperature 0', [[1]], { temperature: 0 }, 'greedy'],
    ['temperature NaN', [[1]], { temperature: NaN }, 'temperature is NaN'],
    ['topK 0', [[1]], { topK: 0 }, 'topK is 0'],
    ['topP above 1', [[1]], { topP: 1.1 }, 'topP is 1.1'],
    ['no new tokens', [[1]], { maxNewTokens: 0 }, 'maxNewTokens is 0'],
  ])('%s is refused before anything is computed', async (_, given, options, message) => {
    const calls: number[] = [];
    const all = { maxNewTokens: 5, random: (row: number) => (calls.push(row), random(row)), ...options };
    await expect(sample(model, given, all)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringContaining(message),
    });
    expect(calls).toEqual([]);
  });

  test('a model with a reward head cannot sample', async () => {
    const reward = tinyModel({ head: 'reward' });
    await expect(sample(reward, prompts, { maxNewTokens: 2, random })).rejects.toMatchObject({
      kind: 'failed_precondition',
    });
    disposeModel(reward);
  });
});
