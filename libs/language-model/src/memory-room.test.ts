import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createAdamW, currentBackend, openBackend, randomStream } from '@surefoot/tensor';
import { fastTestBackends, heldTensors, type HeldTensors } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  cloneModel,
  createAdapter,
  createModel,
  disposeAdapter,
  disposeModel,
  gpt2Config,
  loadModel,
  sample,
  saveModel,
  sequenceLogProbabilities,
  trainNextToken,
  type LanguageModel,
} from './index';
import {
  checkpointedBytes,
  gradientBytes,
  momentBytes,
  samplingBytes,
  scoringBytes,
  trainingBytes,
  weightBytes,
} from './memory-estimate';
import { fitsOnTape, freeBytes, microBatches, tokensThatFit, trainingPlan } from './memory-room';
import { batchGradients } from './pretrain';
import { randomSequences, tinyConfig, tinyModel, withFolder, writeTokenizer } from './testing';

// A GPU in software is slow.
jest.setTimeout(180_000);

/** Leaves this many bytes to plan with. */
function leave(bytes: number): void {
  jest.spyOn(currentBackend(), 'memoryBytes', 'get').mockReturnValue((tf.memory().numBytes + bytes) / 0.85);
}
afterEach(() => {
  jest.restoreAllMocks();
});

const training = {
  steps: 2,
  batchSize: 8,
  learningRate: 1e-2,
  warmupSteps: 0,
  finalFraction: 1,
  weightDecay: 0,
  seed: 3,
};
const texts = randomSequences([24, 9, 17, 24, 2, 12, 20, 5]);

describe.each(fastTestBackends)('micro-batches on $title', ({ title, open }) => {
  beforeAll(async () => {
    await open();
  });

  test('gradients summed over them are those of the whole batch', async () => {
    const model = tinyModel();
    const whole = await batchGradients(model, texts);
    const oneSequence = trainingBytes(model.config, { sequences: 1, width: 24, outputs: 23 });
    leave(gradientBytes(model.config) + 2 * oneSequence);
    const inParts = await batchGradients(model, texts);
    jest.restoreAllMocks();
    expect(inParts.loss).not.toBe(whole.loss);
    expect([inParts.loss]).toBeAllclose([whole.loss], { atol: 0, rtol: 1e-5 });
    for (const [i, gradient] of whole.gradients.entries()) {
      const error = tf.tidy(() => tf.norm(gradient.sub(inParts.gradients[i]!)).div(tf.norm(gradient)));
      expect((await error.data())[0]).toBeLessThan(1e-5);
      error.dispose();
    }
    tf.dispose([...whole.gradients, ...inParts.gradients]);
    disposeModel(model);
  });

  test('a micro-batch that fails leaves nothing of those before it', async () => {
    const model = tinyModel();
    const oneSequence = trainingBytes(model.config, { sequences: 1, width: 24, outputs: 23 });
    leave(gradientBytes(model.config) + oneSequence);
    const unknown = new Int32Array(24).fill(model.config.vocabularySize);
    await expect(() => expect(batchGradients(model, [...texts, unknown])).rejects.toThrow()).toNotLeakTensors();
    disposeModel(model);
  });

  test('room is less by the moments of an optimizer, whatever the purpose, until it is disposed', () => {
    const model = tinyModel();
    leave(1e6);
    const free = freeBytes();
    const optimizer = createAdamW([...model.parameters.values()]);
    const held = free - momentBytes(model.config);
    expect(freeBytes()).toBeCloseTo(held, 3);
    optimizer.state();
    expect(freeBytes()).toBeCloseTo(held, 3);
    const gradients = [...model.parameters.values()].map((parameter) => tf.zerosLike(parameter));
    optimizer.step(gradients, 0.1);
    tf.dispose(gradients);
    expect(freeBytes()).toBeCloseTo(held, 3);
    optimizer.dispose();
    optimizer.dispose();
    expect(freeBytes()).toBeCloseTo(free, 3);
    disposeModel(model);
  });

  test('log-probabilities and samples do not depend on how much memory there is', async () => {
    const model = tinyModel();
    const sampled = () => sample(model, texts.slice(4), { maxNewTokens: 4, random: (row) => randomStream(2, row) });
    const [whole, samples] = [await sequenceLogProbabilities(model, texts), await sampled()];
    const oneSample = samplingBytes(model.config, { sequences: 1, width: 20, capacity: 24 });
    const oneScore = scoringBytes(model.config, { sequences: 1, width: 24, outputs: 24 });
    leave(Math.max(oneSample, oneScore) + 1000);
    const inParts = await sequenceLogProbabilities(model, texts);
    texts.forEach((_, i) =>
      expect(inParts.logProbabilities[i]!).toBeAllclose(whole.logProbabilities[i]!, { atol: 1e-5 }),
    );
    expect(await sampled()).toEqual(samples);
    disposeModel(model);
  });

  const last = title.startsWith('webgpu') ? 12 : 60;
  test(`memory is the same after ten steps and after ${last}`, async () => {
    const model = tinyModel();
    const held: HeldTensors[] = [];
    const onStep = (step: number) => {
      if (step === 9 || step === last - 1) held.push(heldTensors());
    };
    await trainNextToken(model, texts, { ...training, steps: last, onStep });
    expect(held[1]).toEqual(held[0]);
    disposeModel(model);
  });
});

describe('room', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    await openBackend('wasm');
    model = tinyModel();
  });
  afterAll(() => disposeModel(model));
  const shapeOf = (rows: number[]) => ({ sequences: rows.length, width: Math.max(...rows), outputs: rows.length });
  const bytes = (rows: number[]) => gradientBytes(model.config) + trainingBytes(model.config, shapeOf(rows));
  const split = (rows: number[]) => microBatches(model.config, rows, shapeOf, 'training');

  test('a batch that fits stays whole; one that does not is halved until every part fits', () => {
    expect(split([3, 5, 4, 20, 2])).toEqual([[3, 5, 4, 20, 2]]);
    leave(bytes([20, 20, 20]));
    expect(split([3, 5, 4, 20, 2])).toEqual([
      [3, 5, 4],
      [20, 2],
    ]);
    leave(bytes([20]));
    expect(split([3, 5, 4, 20, 2])).toEqual([[3], [5], [4], [20], [2]]);
    // Not on one tape, but block by block.
    leave(bytes([20]) - 1000);
    expect(split([20])).toEqual([[20]]);
    leave(gradientBytes(model.config) + checkpointedBytes(model.config, shapeOf([20])) - 1000);
    expect(() => split([3, 5, 4, 20, 2])).toThrow(
      expect.objectContaining({
        kind: 'resource_exhausted',
        message: expect.stringMatching(
          /^training with a model of [\d,]+ parameters needs [\d.]+ KiB for the activations of one sequence of 20 tokens and/,
        ),
      }),
    );
  });

  test('an adapter on a model as large as those that are mapped is checkpointed, with room or without', () => {
    const planOf = (layers: number, adapter?: LanguageModel['adapter']) => {
      const sizes = { vocabularySize: 1000, hiddenSize: 2048, heads: 16, maxPositions: 64, head: 'reward' as const };
      const config = gpt2Config({ ...sizes, layers, eosTokenIds: [] });
      const weightless: LanguageModel = { config, parameters: new Map(), ...(adapter && { adapter }) };
      const fits = fitsOnTape(weightless, { sequences: 1, width: 8, outputs: 1 });
      return { isCheckpointed: trainingPlan(weightless).isCheckpointed, fits };
    };
    const { adapter } = createAdapter(model, { r: 2, targetModules: 'all-linear' }, 1);
    expect(planOf(4, adapter)).toEqual({ isCheckpointed: false, fits: true });
    expect(planOf(5, adapter)).toEqual({ isCheckpointed: true, fits: false });
    expect(planOf(5)).toEqual({ isCheckpointed: false, fits: true });
    disposeAdapter({ adapter });
    for (const parameter of model.parameters.values()) parameter.trainable = true;
  });

  test('a budget in tokens is the limit while it fits, then a power of two', () => {
    const fit = (limit: number, together = 1) =>
      tokensThatFit(model.config, { longest: 20, limit, together, purpose: 'training' });
    expect(fit(8192)).toBe(8192);
    const one = trainingBytes(model.config, { sequences: 1, width: 20, outputs: 20 });
    leave(gradientBytes(model.config) + 5.5 * one);
    expect(fit(8192)).toBe(64);
    expect(fit(50)).toBe(50);
    expect(fit(8192, 5)).toBe(100);
    leave(gradientBytes(model.config) + 3 * one);
    expect(() => fit(8192, 6)).toThrow('for the activations of 6 sequences of 20 tokens');
  });

  test('what does not fit is refused with all numbers before anything is allocated', async () => {
    const before = tf.memory();
    leave(momentBytes(model.config) + gradientBytes(model.config) + 1000);
    const refused = trainNextToken(model, texts, training);
    await expect(refused).rejects.toMatchObject({
      kind: 'resource_exhausted',
      message: expect.stringMatching(
        /needs [\d.]+ KiB for the optimizer's moments and [\d.]+ KiB for gradients and [\d.]+ KiB for the activations of one sequence of 24 tokens; backend wasm has [\d.]+ [KM]iB, of which [\d.]+ KiB are left .*: use shorter sequences or a smaller model, or choose a backend with more memory$/,
      ),
    });
    leave(1000);
    await expect(sequenceLogProbabilities(model, texts)).rejects.toMatchObject({ kind: 'resource_exhausted' });
    await expect(
      sample(model, texts.slice(4), { maxNewTokens: 4, random: (row) => randomStream(2, row) }),
    ).rejects.toThrow('the keys, values and activations of one row of 24 tokens');
    expect(() => createModel(tinyConfig(), 1)).toThrow('for the weights of');
    expect(() => cloneModel(model)).toThrow('a copy of the model needs');
    expect(tf.memory()).toEqual(before);
  });

  test('a folder whose weights do not fit is refused before they are read', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      await saveModel(model, folder, { tokenizerFolder: folder });
      leave(weightBytes(model.config) - 4);
      await expect(loadModel(folder)).rejects.toMatchObject({
        kind: 'resource_exhausted',
        message: expect.stringContaining(folder),
      });
    });
  });

  test('a batch whose logits exceed the heap in one piece is cut', () => {
    const sizes = { vocabularySize: 100_000, hiddenSize: 4, layers: 1, heads: 1, maxPositions: 256 };
    const config = gpt2Config({ ...sizes, head: 'causal-lm', eosTokenIds: [] });
    leave(2 ** 32);
    // 64 x 255 x 100,000 logits and as many gradients are 13 GB, the heap has 4 GiB.
    const rows = Array.from({ length: 64 }, () => 256);
    const nextToken = (some: number[]) => ({ sequences: some.length, width: 256, outputs: 255 * some.length });
    expect(microBatches(config, rows, nextToken, 'training').map(({ length }) => length)).toEqual([16, 16, 16, 16]);
  });
});
