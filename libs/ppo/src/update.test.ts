import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  cloneModel,
  createModel,
  disposeModel,
  gpt2Config,
  sample,
  sequenceLogProbabilities,
} from '@surefoot/language-model';
import type { LanguageModel } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import { fastTestBackends, testBackends } from '@surefoot/tensor/testing';
import { createLearner, disposeLearner, type Learner } from './learner';
import { learnerState, restoreLearner } from './learner-state';
import { resolvePpoConfig, type PpoConfig } from './ppo-config';
import type { NormalisedScores } from './regularisers';
import { prepareRollouts, type Rollout } from './rollout';
import { ppoUpdate } from './update';

// The reference backend is slow, more so on a busy machine.
jest.setTimeout(60_000);

const settings: Partial<PpoConfig> = { batchSize: 8, learningRate: 1e-3, weightClampMin: 0, weightClampMax: Infinity };
let start: LanguageModel;
const learners: Learner[] = [];

/** A learner of its own copy of the start policy, freed after the test. */
function learner(partial: Partial<PpoConfig> = {}): Learner {
  const config = resolvePpoConfig({ ...settings, ...partial });
  const created = createLearner(cloneModel(start), cloneModel(start), config, 5);
  learners.push(created);
  return created;
}

/** Rollouts of lengths 1 to 6 after prompts of 1 to 3 tokens, and scores of three members. */
function batch(iteration: number): { rollouts: Rollout[]; scores: NormalisedScores[] } {
  const random = randomStream(3, 'batch', iteration);
  const ids = (length: number) => Int32Array.from({ length }, () => 1 + random.integer(10));
  const rollouts = Array.from({ length: 8 }, (_, b) => ({
    promptIds: ids(1 + random.integer(3)),
    responseIds: ids(1 + random.integer(6)),
    hasEos: b % 4 > 0,
  }));
  const scores = rollouts.map(() => ({
    members: Float64Array.from({ length: 3 }, () => random.normal()),
    variance: 2 * random.uniform(),
  }));
  return { rollouts, scores };
}

/** @param index of the batch, from 0 */
async function iterate(learner: Learner, index: number) {
  const { rollouts, scores } = batch(index);
  return ppoUpdate(learner, await prepareRollouts(learner, rollouts), scores, { iteration: index + 1 });
}

const bits = async (learner: Learner) => {
  const { tensors, numbers } = await learnerState(learner);
  return { numbers, tensors: [...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString('hex')]) };
};

function startPolicy() {
  const sizes = { vocabularySize: 11, hiddenSize: 12, layers: 2, heads: 2, maxPositions: 16 };
  start = createModel(gpt2Config({ ...sizes, head: 'causal-lm', eosTokenIds: [0] }), 1);
}

function freeAll() {
  for (const created of learners.splice(0)) {
    disposeModel(created.policy);
    disposeModel(created.reference);
    disposeLearner(created);
  }
  disposeModel(start);
}

/** One number's AdamW, as its papers and PyTorch write it, with the settings of the test below. */
function adamW(
  start: number,
  gradients: number[],
  { rates, decay, mode }: { rates: number[]; decay: number; mode: PpoConfig['adamEpsilonMode'] },
): number {
  let [p, m, v] = [start, 0, 0];
  gradients.forEach((gradient, i) => {
    const [rate, t] = [rates[i]!, i + 1];
    m = 0.8 * m + 0.2 * gradient;
    v = 0.95 * v + 0.05 * gradient ** 2;
    p -= rate * decay * p;
    if (mode === 'outside') p -= (rate * (m / (1 - 0.8 ** t))) / (Math.sqrt(v / (1 - 0.95 ** t)) + 0.01);
    else p -= (rate * (Math.sqrt(1 - 0.95 ** t) / (1 - 0.8 ** t)) * m) / (Math.sqrt(v) + 0.01);
  });
  return p;
}

describe.each(testBackends)('an iteration on $title', ({ title, open, keepsBits }) => {
  // A GPU in software takes seconds for an iteration.
  const isSlow = title.startsWith('webgpu');

  beforeAll(async () => {
    await open();
  });
  beforeEach(startPolicy);
  afterEach(freeAll);

  test('measures what the full forward pass of each rollout alone gives, at the sampling temperature', async () => {
    const { rollouts } = batch(0);
    const learning = learner({ temperature: 0.7 });
    const prepared = await prepareRollouts(learning, rollouts);
    for (const [b, { promptIds, responseIds }] of rollouts.entries()) {
      const sequence = Int32Array.from([...promptIds, ...responseIds]);
      const { logProbabilities, entropies } = await sequenceLogProbabilities(start, [sequence], { temperature: 0.7 });
      const at = (x: Float32Array) => x.subarray(prepared.offsets[b], prepared.offsets[b + 1]);
      const expected = (x: Float32Array[]) => x[0]!.subarray(promptIds.length - 1);
      expect(at(prepared.oldLogprobs)).toBeAllclose(expected(logProbabilities), { atol: 5e-5 });
      expect(at(prepared.refLogprobs)).toBeAllclose(expected(logProbabilities), { atol: 5e-5 });
      expect(at(prepared.entropies)).toBeAllclose(expected(entropies), { atol: 5e-5 });
    }
    expect(prepared.values.every((value) => value === 0)).toBe(true);
  });

  test.each(isSlow ? [4] : [8, 4, 1])(
    `the first ratio is ${keepsBits ? 'exactly 1' : '1 to 1e-5'} in minibatches of %i, also after the policy has moved`,
    async (size) => {
      const learning = learner({ minibatchSize: size });
      for (const iteration of [0, 1]) {
        const metrics = await iterate(learning, iteration);
        expect(metrics['policy/ratio_deviation_first']).toBeLessThanOrEqual(keepsBits ? 0 : 1e-5);
        expect(metrics['optimizer/steps']).toBe((3 * 8) / size);
      }
    },
  );

  test('a batch that other weights measured is refused', async () => {
    const learning = learner();
    const { rollouts, scores } = batch(0);
    const prepared = await prepareRollouts(learning, rollouts);
    tf.tidy(() => {
      const head = learning.policy.parameters.get('transformer.wte.weight')!;
      head.assign(head.mul(1.05));
    });
    const before = await bits(learning);
    await expect(ppoUpdate(learning, prepared, scores, { iteration: 1 })).rejects.toMatchObject({
      kind: 'diverged',
      message: expect.stringMatching(/\|ratio - 1\| is up to 0\.\d+, KL -?[\d.e-]+ nats/),
    });
    expect(await bits(learning)).toEqual(before);
  });

  test('the value network never moves the policy', async () => {
    const [with_, without] = [learner({ valueCoefficient: 5 }), learner({ valueCoefficient: 0 })];
    await iterate(with_, 0);
    await iterate(without, 0);
    const policy = async (learning: Learner) =>
      (await bits(learning)).tensors.filter(([name]) => /^policy\//.test(name!));
    expect(await policy(with_)).toEqual(await policy(without));
    // Its own first step is that of its last layer: the layer before has no gradient through weights of 0.
    const last = await with_.valueNetwork.parameters.get('out.weight')!.data();
    expect(last.some((weight) => weight !== 0)).toBe(true);
  });

  test('epochs stop once the policy has moved too far from the rollouts', async () => {
    const learning = learner({ learningRate: 0.05, earlyStopKl: 1e-3, epochs: 10 });
    const metrics = await iterate(learning, 0);
    expect(metrics['optimizer/early_stop']).toBe(1);
    expect(metrics['optimizer/steps']).toBeLessThan(10);
    expect(metrics['policy/sequence_kl_max']).toBeGreaterThan(1e-3);
    const endless = await iterate(learner({ learningRate: 0.05, earlyStopKl: 0, epochs: 10 }), 0);
    expect(endless).toMatchObject({ 'optimizer/early_stop': 0, 'optimizer/steps': 10 });
  });

  test('steps that are not finite are skipped and counted over iterations; the third in a row ends the run', async () => {
    const learning = learner({ epochs: 2, valueCoefficient: 1e39 });
    const before = (await bits(learning)).tensors;
    const metrics = await iterate(learning, 0);
    expect(metrics).toMatchObject({ 'optimizer/skipped_steps': 2, 'optimizer/steps': 0 });
    expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
    expect(metrics).not.toHaveProperty('policy/loss');
    await expect(iterate(learning, 1)).rejects.toMatchObject({
      kind: 'diverged',
      message: expect.stringContaining('3 optimizer steps in a row'),
    });
    expect((await bits(learning)).tensors).toEqual(before);
  });

  test('weights that are no longer finite are reported as such', async () => {
    const learning = learner();
    tf.tidy(() => {
      const bias = learning.policy.parameters.get('transformer.ln_f.bias')!;
      bias.assign(tf.fill(bias.shape, NaN));
    });
    await expect(prepareRollouts(learning, batch(0).rollouts)).rejects.toMatchObject({ kind: 'diverged' });
  });

  test.each(['outside', 'inside'] as const)(
    'two updates with linear rates are those of plain AdamW, epsilon %s',
    async (adamEpsilonMode) => {
      const rates = {
        learningRateSchedule: 'linear',
        learningRate: 0.02,
        valueLearningRate: 0.05,
        iterations: 2,
      } as const;
      // Of the size of the gradients, so that it matters where it is added.
      const adam = { adamBeta1: 0.8, adamBeta2: 0.95, adamEpsilon: 0.01, adamEpsilonMode, weightDecay: 0.1 };
      const learning = learner({ ...rates, ...adam, epochs: 1 });
      const states = [(await learnerState(learning)).tensors];
      const told = [];
      for (const index of [0, 1]) {
        told.push((await iterate(learning, index))['optimizer/learning_rate']);
        states.push((await learnerState(learning)).tensors);
      }
      // One step an iteration: the whole rate, then half of it.
      expect(told).toEqual([0.02, 0.01]);
      for (const [name, { data }] of states[0]!) {
        const [, part, parameter] = /^(policy|value)\/(.*)$/.exec(name) ?? [];
        if (!part) continue;
        const moments = states.map((tensors) => tensors.get(`${part}.first-moment/${parameter}`)!.data);
        // What the gradients were, from m_t = 0.8 m_{t-1} + 0.2 g_t.
        const gradients = [1, 2].map((t) => moments[t]!.map((m, i) => (m - 0.8 * moments[t - 1]![i]!) / 0.2));
        const [rate, decay] = part === 'policy' ? [0.02, 0.1] : [0.05, 0];
        const expected = Array.from(data, (start, i) =>
          adamW(start, [gradients[0]![i]!, gradients[1]![i]!], {
            rates: [rate, rate / 2],
            decay,
            mode: adamEpsilonMode,
          }),
        );
        expect(states[2]!.get(name)!.data).toBeAllclose(expected, { atol: 1e-5, rtol: 1e-5 });
      }
    },
  );

  test('a restored learner continues with the same bits', async () => {
    const straight = learner({ minibatchSize: 4 });
    for (const iteration of [0, 1, 2, 3]) await iterate(straight, iteration);
    const first = learner({ minibatchSize: 4 });
    for (const iteration of [0, 1]) await iterate(first, iteration);
    const { tensors, numbers } = await learnerState(first);
    const second = learner({ minibatchSize: 4 });
    restoreLearner(second, { tensors, numbers: JSON.parse(JSON.stringify(numbers)) });
    expect(await bits(second)).toEqual(await bits(first));
    for (const iteration of [2, 3]) await iterate(second, iteration);
    expect(await bits(second)).toEqual(await bits(straight));
    expect(second.beta).not.toBe(0.2);
  });

  test('a state of another model is refused whole', async () => {
    const learning = learner();
    const before = await bits(learning);
    const { tensors, numbers } = await learnerState(learning);
    tensors.set('policy/transformer.wpe.weight', { shape: [4, 12], data: new Float32Array(48) });
    tensors.delete('value/out.bias');
    tensors.set('policy/lm_head.weight', { shape: [1], data: new Float32Array(1) });
    tensors.get('value/hidden.bias')!.data[3] = NaN;
    const restore = () => restoreLearner(learning, { tensors, numbers: { ...numbers, beta: NaN, policySteps: -1 } });
    expect(restore).toThrow("policy/transformer.wpe.weight has the shape [4,12], the learner's is [16,12]");
    for (const part of [
      'value/out.bias is missing',
      'value/hidden.bias holds',
      'lm_head.weight is unknown',
      'and 1 more',
    ])
      expect(restore).toThrow(part);
    expect(await bits(learning)).toEqual(before);
  });

  test('a batch of another size, an empty response, scores of other rollouts are refused', async () => {
    const learning = learner();
    const { rollouts, scores } = batch(0);
    await expect(prepareRollouts(learning, rollouts.slice(1))).rejects.toThrow('7 rollouts given, batchSize is 8');
    const empty = rollouts.with(2, { ...rollouts[2]!, responseIds: new Int32Array(0) });
    await expect(prepareRollouts(learning, empty)).rejects.toThrow('rollout 2: ');
    const prepared = await prepareRollouts(learning, rollouts);
    await expect(ppoUpdate(learning, prepared, scores.slice(1), { iteration: 1 })).rejects.toThrow(
      '7 scores given for 8 rollouts',
    );
  });

  test('keeps no tensors', async () => {
    const learning = learner({ entropyCoefficient: 0.01, temperature: 0.9 });
    await expect(() => iterate(learning, 0)).toNotLeakTensors();
    await expect(async () => restoreLearner(learning, await learnerState(learning))).toNotLeakTensors();
  });

  test('a learner frees what it owns', async () => {
    const models = [cloneModel(start), cloneModel(start)] as const;
    await expect(async () =>
      disposeLearner(createLearner(...models, resolvePpoConfig(settings), 1)),
    ).toNotLeakTensors();
    models.forEach(disposeModel);
  });

  test('README lists every metric', async () => {
    const readme = readFileSync(join(__dirname, '..', 'README.md'), 'utf8');
    for (const name of Object.keys(await iterate(learner(), 0))) expect(readme).toContain(`\`${name}\``);
  });
});

describe.each(fastTestBackends)('iterations on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  beforeEach(startPolicy);
  afterEach(freeAll);

  test('the policy learns to answer with the rewarded token, and the value network to predict the reward', async () => {
    const learning = learner({ batchSize: 16, learningRate: 0.01, valueLearningRate: 0.02, mode: 'vanilla' });
    const promptIds = Int32Array.of(1, 2);
    const metrics = [];
    for (let iteration = 1; iteration <= 15; iteration++) {
      const samples = await sample(learning.policy, Array(16).fill(promptIds), {
        maxNewTokens: 1,
        random: (row) => randomStream(7, iteration, row),
      });
      const rollouts = samples.map(({ ids }) => ({ promptIds, responseIds: ids, hasEos: true }));
      const scores = samples.map(({ ids }) => ({ members: [ids[0] === 4 ? 2 : 0], variance: null }));
      metrics.push(await ppoUpdate(learning, await prepareRollouts(learning, rollouts), scores, { iteration }));
    }
    // 2 times a probability of one in eleven at first
    expect(metrics[0]!['objective/score']).toBeLessThan(0.5);
    expect(metrics.at(-1)!['objective/score']).toBeGreaterThan(1.5);
    expect(metrics[0]!['value/mean']).toBe(0);
    expect(metrics.at(-1)!['value/mean']).toBeGreaterThan(0.8);
    expect(metrics.at(-1)!['objective/kl']).toBeGreaterThan(1);
  });
});
