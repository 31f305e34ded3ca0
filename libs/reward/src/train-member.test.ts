import { afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import {
  checkpointedBytes,
  createModel,
  disposeModel,
  gpt2Config,
  gradientBytes,
  momentBytes,
  trainingBytes,
} from '@surefoot/language-model';
import { currentBackend, randomStream } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import type { MemberTraining } from './fit-to-pairs';
import { batchGradients, trainMember } from './train-member';

// A GPU in software is slow.
jest.setTimeout(180_000);

const sizes = { vocabularySize: 40, hiddenSize: 16, layers: 2, heads: 2, maxPositions: 24 };
const config = gpt2Config({ ...sizes, head: 'reward', eosTokenIds: [0] });
const random = randomStream(3, 'pairs');
const ids = (length: number) => Int32Array.from({ length }, () => random.integer(40));
const pairs = [24, 9, 17, 24, 2, 12, 20, 5].map((length) => ({
  ...{ chosen: ids(length), rejected: ids(1 + ((7 * length) % 24)), margin: 0.1 },
}));
const training: MemberTraining = {
  ...{ epochs: 2, batchSize: 4, learningRate: 1e-3, warmupSteps: 0, finalFraction: 1, weightDecay: 0, centring: 0.1 },
  ...{ maxGradNorm: 1, bootstrap: false, tokenBudget: 8192 },
};
const onePair = { sequences: 2, width: 24, outputs: 2 };

/** Leaves this many bytes to plan with, and one for the rounding of the share. */
function leave(bytes: number): void {
  jest.spyOn(currentBackend(), 'memoryBytes', 'get').mockReturnValue((tf.memory().numBytes + bytes + 1) / 0.85);
}
afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(fastTestBackends)('memory of a fit on $title', ({ title, open }) => {
  beforeAll(async () => {
    await open();
  });

  test('gradients summed over micro-batches are those of the whole batch', async () => {
    const model = createModel(config, 1);
    const whole = await batchGradients(model, pairs, training);
    const inParts = await batchGradients(model, pairs, { ...training, tokenBudget: 64 });
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
    const model = createModel(config, 1);
    const unknown = { ...pairs[0]!, chosen: new Int32Array(24).fill(40) };
    const budget = { ...training, tokenBudget: 64 };
    await expect(() => expect(batchGradients(model, [...pairs, unknown], budget)).rejects.toThrow()).toNotLeakTensors();
    disposeModel(model);
  });

  // Compiling the shaders of the other way takes a GPU in software half a minute; libs/language-model compares the two there.
  if (!title.startsWith('webgpu'))
    test('with room for one pair and the tape of one block it trains as with room for all, and with less it is refused', async () => {
      const weights: Float32Array[] = [];
      const activations = checkpointedBytes(config, onePair);
      expect(activations).toBeLessThan(trainingBytes(config, onePair));
      const smallest = momentBytes(config) + gradientBytes(config) + activations;
      for (const bytes of [undefined, smallest]) {
        const model = createModel(config, 1);
        if (bytes) leave(bytes);
        await trainMember(model, pairs, { ...training, epochs: 1 }, 7);
        jest.restoreAllMocks();
        weights.push((await model.parameters.get('score.weight')!.data()) as Float32Array);
        disposeModel(model);
      }
      expect(weights[1]!).toBeAllclose(weights[0]!, { atol: 1e-4 });
      const model = createModel(config, 1);
      leave(smallest - 1000);
      await expect(trainMember(model, pairs, training, 7)).rejects.toMatchObject({
        kind: 'resource_exhausted',
        message: expect.stringContaining('for the activations of 2 sequences of 24 tokens'),
      });
      disposeModel(model);
    });

  const last = title.startsWith('webgpu') ? 20 : 60;
  test(`memory is the same after ten steps and after ${last}`, async () => {
    const model = createModel(config, 1);
    const held: object[] = [];
    await trainMember(model, pairs, { ...training, epochs: last / 2 }, 7, (step) => {
      const { numTensors, numBytes, numDataBuffers } = tf.memory();
      if (step === 10 || step === last) held.push({ numTensors, numBytes, numDataBuffers });
    });
    expect(held).toHaveLength(2);
    expect(held[1]).toEqual(held[0]);
    disposeModel(model);
  });
});
