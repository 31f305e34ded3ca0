import { afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  cloneModel,
  createModel,
  disposeModel,
  gpt2Config,
  gradientBytes,
  trainingBytes,
} from '@surefoot/language-model';
import { currentBackend, heldBytes, randomStream } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import { createLearner, disposeLearner, type Learner } from './learner';
import { resolvePpoConfig, type PpoConfig } from './ppo-config';
import { prepareRollouts, type Rollout } from './rollout';
import { losses } from './step';
import { ppoUpdate } from './update';

// A GPU in software is slow.
jest.setTimeout(180_000);

const sizes = { vocabularySize: 40, hiddenSize: 16, layers: 2, heads: 2, maxPositions: 16 };
const config = gpt2Config({ ...sizes, head: 'causal-lm', eosTokenIds: [0] });
const random = randomStream(3, 'rollouts');
const ids = (length: number) => Int32Array.from({ length }, () => 1 + random.integer(38));
const rollouts: Rollout[] = Array.from({ length: 8 }, (_, b) => ({
  promptIds: ids(1 + (b % 3)),
  responseIds: ids(3 + ((5 * b) % 8)),
  hasEos: true,
}));
const scores = rollouts.map((_, b) => ({ members: [random.normal()], variance: b / 4 }));

async function withLearner(partial: Partial<PpoConfig>, run: (learner: Learner) => Promise<void>): Promise<void> {
  const model = createModel(config, 1);
  const settings = resolvePpoConfig({ batchSize: 8, earlyStopKl: 0, ...partial });
  const learner = createLearner(model, cloneModel(model), settings, 5);
  await run(learner);
  [learner.policy, learner.reference].forEach(disposeModel);
  disposeLearner(learner);
}

/** Leaves room to plan with for gradients and so many rollouts of the longest kind. */
function leaveRoomFor(sequences: number): void {
  const shape = { sequences, width: 13, outputs: 10 * sequences, withEntropy: true };
  const bytes = heldBytes() + gradientBytes(config) + trainingBytes(config, shape);
  jest.spyOn(currentBackend(), 'memoryBytes', 'get').mockReturnValue(bytes / 0.85);
}
afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(fastTestBackends)('micro-batches of a minibatch on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test('their summed gradients are those of the whole minibatch', async () => {
    await withLearner({ entropyCoefficient: 0.1, temperature: 0.8 }, async (learner) => {
      const whole = await prepareRollouts(learner, rollouts);
      leaveRoomFor(2);
      const inParts = await prepareRollouts(learner, rollouts);
      jest.restoreAllMocks();
      expect(whole.minibatches[0]!.parts).toHaveLength(1);
      expect(inParts.minibatches[0]!.parts.map(({ batch }) => batch.batch)).toEqual([2, 2, 2, 2]);
      expect(inParts.oldLogprobs).toBeAllclose(whole.oldLogprobs, { atol: 1e-5 });

      // As after a few steps: away from the rollout policy, values that are wrong.
      const n = whole.oldLogprobs.length;
      const noise = (scale: number) => Float32Array.from({ length: n }, () => scale * random.normal());
      const inputs = {
        oldLogprobs: whole.oldLogprobs.map((logprob, t) => logprob + 0.1 * Math.sin(t)),
        ...{ oldValues: noise(0.1), advantages: noise(1), returns: noise(1) },
      };
      const [all, summed] = [
        await losses(learner, whole.minibatches[0]!, inputs),
        await losses(learner, inParts.minibatches[0]!, inputs),
      ];
      for (const name of ['policyLoss', 'valueLoss'] as const)
        expect([summed.measured[name]]).toBeAllclose([all.measured[name]], { atol: 1e-6 });
      expect(summed.measured.logprobs).toBeAllclose(all.measured.logprobs, { atol: 1e-5 });
      expect(summed.measured.values).toBeAllclose(all.measured.values, { atol: 1e-5 });
      for (const network of ['policy', 'value'] as const) {
        const errors = all[network].gradients.map((gradient, i) =>
          tf.tidy(() => tf.norm(gradient.sub(summed[network].gradients[i]!)).div(tf.norm(gradient).add(1e-12))),
        );
        for (const error of errors) expect((await error.data())[0]).toBeLessThan(1e-5);
        tf.dispose([...errors, ...all[network].gradients, ...summed[network].gradients]);
      }
    });
  });

  test('a micro-batch that fails leaves nothing of those before it', async () => {
    await withLearner({}, async (learner) => {
      leaveRoomFor(2);
      const { minibatches, oldLogprobs, values } = await prepareRollouts(learner, rollouts);
      jest.restoreAllMocks();
      const [minibatch] = minibatches;
      const inputs = { oldLogprobs, oldValues: values, advantages: oldLogprobs, returns: values };
      const unknown = minibatch!.parts.map((part, i) => (i === 1 ? { ...part, targets: part.targets.fill(40) } : part));
      const failing = [
        // In the policy's loss, and in the value network's of the last.
        () => losses(learner, { ...minibatch!, parts: unknown }, inputs),
        () => losses(learner, minibatch!, { ...inputs, oldValues: values.subarray(2) }),
      ];
      for (const run of failing) await expect(() => expect(run()).rejects.toThrow()).toNotLeakTensors();
    });
  });

  test('an iteration in parts keeps no tensors and starts at ratio 1', async () => {
    await withLearner({ minibatchSize: 4 }, async (learner) => {
      leaveRoomFor(2);
      const prepared = await prepareRollouts(learner, rollouts);
      expect(prepared.minibatches.map(({ parts }) => parts.length)).toEqual([2, 2]);
      const held = tf.memory().numTensors;
      const metrics = await ppoUpdate(learner, prepared, scores, { iteration: 1 });
      expect(metrics['policy/ratio_deviation_first']).toBeLessThan(1e-6);
      expect(metrics['optimizer/steps']).toBe(2 * learner.config.epochs);
      expect(tf.memory().numTensors).toBe(held);
    });
  });

  test('memory is the same after three iterations and after six', async () => {
    await withLearner({ learningRate: 1e-4 }, async (learner) => {
      const held = [];
      for (let iteration = 1; iteration <= 6; iteration++) {
        await ppoUpdate(learner, await prepareRollouts(learner, rollouts), scores, { iteration });
        const { numTensors, numBytes, numDataBuffers } = tf.memory();
        if (iteration === 3 || iteration === 6) held.push({ numTensors, numBytes, numDataBuffers });
      }
      expect(held[1]).toEqual(held[0]);
    });
  });

  test('where not even one rollout fits, the numbers say so', async () => {
    await withLearner({}, async (learner) => {
      leaveRoomFor(0);
      await expect(prepareRollouts(learner, rollouts)).rejects.toMatchObject({
        kind: 'resource_exhausted',
        message: expect.stringMatching(
          /training with a model of [\d,]+ parameters needs [\d.]+ [KM]iB for the activations/,
        ),
      });
    });
    const model = createModel(config, 1);
    jest.spyOn(currentBackend(), 'memoryBytes', 'get').mockReturnValue(tf.memory().numBytes / 0.85 + 1000);
    expect(() => createLearner(model, model, resolvePpoConfig({ batchSize: 8 }), 5)).toThrow("the optimizer's moments");
    disposeModel(model);
  });
});
