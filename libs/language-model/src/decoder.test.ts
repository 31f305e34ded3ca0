import { beforeAll, describe, expect, test } from '@jest/globals';
import { embedding, openBackend, valueAndGradients } from '@surefoot/tensor';
import { testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  cloneModel,
  createAdapter,
  disposeModel,
  hiddenStates,
  logits,
  packSequences,
  responseRows,
  rewardScores,
  sequenceLogProbabilities,
  trainableParameters,
  withRewardHead,
} from './index';
import { randomSequences, tinyModel } from './testing';

const sequences = randomSequences([5, 9, 2, 7, 1, 12]);

describe.each(testBackends)('on $title', ({ open, keepsBits }) => {
  beforeAll(async () => {
    await open();
  });

  const alike = keepsBits ? 'to the bit' : 'to 1e-5';
  const expectAlike = (got: ArrayLike<number>, expected: ArrayLike<number>) =>
    keepsBits
      ? expect(Array.from(got)).toEqual(Array.from(expected))
      : expect(got).toBeAllclose(expected, { atol: 1e-5 });

  test(`rows that are asked for are the rows of the whole, ${alike}`, async () => {
    const model = tinyModel();
    const batch = packSequences(sequences, 13);
    const rows = Int32Array.of(3, 0, 70, 14);
    const [asked, picked] = tf.tidy(() => [
      hiddenStates(model, batch, rows),
      embedding(hiddenStates(model, batch), rows),
    ]);
    expectAlike(await asked!.data(), await picked!.data());
    tf.dispose([asked, picked]);
    disposeModel(model);
  });

  test(`rewards do not depend on batch, order or padding, ${alike}`, async () => {
    const model = tinyModel({ head: 'reward' });
    const scores = async (group: Int32Array[], padTo?: number) => {
      const rewards = tf.tidy(() => rewardScores(model, packSequences(group, padTo)));
      const values = [...(await rewards.data())];
      rewards.dispose();
      return values;
    };
    const together = await scores(sequences);
    expectAlike(await scores(sequences, 20), together);
    const alone = [];
    for (const sequence of sequences) alone.push(...(await scores([sequence])));
    expectAlike(alone, together);
    expectAlike((await scores([...sequences].reverse())).reverse(), together);
    disposeModel(model);
  });

  test('log-probabilities do not depend on micro-batches and sum to 1 over the vocabulary', async () => {
    const model = tinyModel({ tiedHead: false });
    const all = await sequenceLogProbabilities(model, sequences, { temperature: 0.7 });
    const parts = await sequenceLogProbabilities(model, sequences, { temperature: 0.7, microBatch: 2 });
    for (const part of ['logProbabilities', 'entropies'] as const)
      expectAlike(
        parts[part].flatMap((row) => [...row]),
        all[part].flatMap((row) => [...row]),
      );
    expect(all.logProbabilities.map((row) => row.length)).toEqual(sequences.map((sequence) => sequence.length - 1));
    const endings = Array.from({ length: 13 }, (_, id) => Int32Array.of(2, 3, id));
    const { logProbabilities, entropies } = await sequenceLogProbabilities(model, endings);
    const last = logProbabilities.map((row) => row[1]!);
    expect([last.reduce((sum, logp) => sum + Math.exp(logp), 0)]).toBeAllclose([1]);
    expect([entropies[0]![1]!]).toBeAllclose([-last.reduce((sum, logp) => sum + logp * Math.exp(logp), 0)]);
    await expect(() => sequenceLogProbabilities(model, sequences)).toNotLeakTensors();
    disposeModel(model);
  });

  test('gradients of a reward agree with finite differences', async () => {
    const model = tinyModel({ head: 'reward' });
    const batch = packSequences(sequences);
    const loss = () => tf.mean(tf.square(rewardScores(model, batch))) as tf.Scalar;
    const parameters = [...model.parameters.values()];
    const { value, gradients } = valueAndGradients(loss, parameters);
    const step = 1e-2;
    for (const [i, parameter] of parameters.entries()) {
      const data = (await parameter.data()) as Float32Array;
      const at = Math.floor(data.length / 3);
      const moved = async (by: number) => {
        const other = data.slice();
        other[at]! += by;
        const value = tf.tidy(() => {
          parameter.assign(tf.tensor(other, parameter.shape));
          return loss();
        });
        const [read] = await value.data();
        value.dispose();
        return read!;
      };
      const slope = ((await moved(step)) - (await moved(-step))) / (2 * step);
      await moved(0);
      expect([(await gradients[i]!.data())[at]!]).toBeAllclose([slope], { atol: 2e-3, rtol: 2e-2 });
    }
    tf.dispose([value, ...gradients]);
    disposeModel(model);
  });
});

describe('models', () => {
  beforeAll(async () => {
    await openBackend('wasm');
  });

  test('a clone shares nothing with its original', async () => {
    await expect(() => {
      const model = tinyModel();
      const clone = cloneModel(model);
      const name = 'transformer.wpe.weight';
      const before = [...model.parameters.get(name)!.dataSync()];
      expect([...clone.parameters.get(name)!.dataSync()]).toEqual(before);
      tf.tidy(() => clone.parameters.get(name)!.assign(tf.zeros([24, 16])));
      expect([...model.parameters.get(name)!.dataSync()]).toEqual(before);
      disposeModel(model);
      expect([...clone.parameters.get(name)!.dataSync()]).toEqual(new Array(24 * 16).fill(0));
      disposeModel(clone);
    }).toNotLeakTensors();
  });

  test('a clone has the same parameters frozen; a model with an adapter is not cloned, nor given a reward head without it', () => {
    const model = tinyModel();
    model.parameters.get('transformer.wpe.weight')!.trainable = false;
    const clone = cloneModel(model);
    expect([...trainableParameters(clone).keys()]).toEqual([...trainableParameters(model).keys()]);
    expect(trainableParameters(clone).size).toBe(clone.parameters.size - 1);
    const adapted = createAdapter(model, { r: 2, targetModules: 'all-linear' }, 1);
    expect(() => cloneModel(adapted)).toThrow('cannot be copied: merge the adapter first');
    expect(() => withRewardHead(adapted, 1)).toThrow('cannot be copied: merge the adapter first');
    disposeModel(adapted);
    disposeModel(clone);
  });

  test('a head that the model does not have is refused', () => {
    const [language, reward] = [tinyModel(), tinyModel({ head: 'reward' })];
    const batch = packSequences(sequences);
    expect(() => tf.tidy(() => rewardScores(language, batch))).toThrow('no reward head');
    expect(() => tf.tidy(() => logits(reward, hiddenStates(reward, batch)))).toThrow('no language-model head');
    disposeModel(language);
    disposeModel(reward);
  });

  test('a sequence longer than the positions is refused', () => {
    const model = tinyModel();
    const batch = packSequences(randomSequences([25]));
    expect(() => hiddenStates(model, batch)).toThrow('a sequence has 25 tokens, the model has 24 positions');
    disposeModel(model);
  });
});

describe('token batches', () => {
  test('response rows are the positions before the response tokens', () => {
    const batch = packSequences(
      [
        [1, 2, 3, 4],
        [5, 6],
        [7, 8, 9],
      ],
      5,
    );
    const { rows, targets, offsets } = responseRows(batch, [2, 2, 1]);
    expect([...rows]).toEqual([1, 2, 10, 11]);
    expect([...targets]).toEqual([3, 4, 8, 9]);
    expect([...offsets]).toEqual([0, 2, 2, 4]);
    expect(() => responseRows(batch, [0, 1, 1])).toThrow('row 0 has a prompt of 0 of its 4 tokens');
    expect(() => responseRows(batch, [1, 3, 1])).toThrow('row 1 has a prompt of 3 of its 2 tokens');
  });

  test('sequences that cannot be packed are refused', () => {
    expect(() => packSequences([])).toThrow('no sequences');
    expect(() => packSequences([[1], []])).toThrow('sequence 1 is empty');
    expect(() => packSequences([[1, 2]], 1)).toThrow('a sequence has 2 tokens, at most 1 fit');
  });
});
