import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { logProbability, randomStream, valueAndGradients } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  createModel,
  disposeModel,
  gpt2Config,
  hiddenStates,
  logits,
  packSequences,
  parseModelConfig,
  rewardScores,
  tokenLogProbabilities,
} from './index';
import { gradientBytes, samplingBytes, scoringBytes, trainingBytes, weightBytes } from './memory-estimate';
import { sample } from './sample';
import { randomSequences, watchBuffers } from './testing';
import { responseRows } from './token-batch';

const geometries = [
  { vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, sequences: 64, width: 18 },
  { vocabularySize: 512, hiddenSize: 64, layers: 5, heads: 4, sequences: 2, width: 256 },
  { vocabularySize: 8000, hiddenSize: 32, layers: 3, heads: 4, sequences: 4, width: 64 },
  { vocabularySize: 64, hiddenSize: 32, layers: 1, heads: 2, sequences: 8, width: 64 },
];
const cases = geometries.flatMap((geometry) => [
  { head: 'causal-lm' as const, ...geometry },
  { head: 'reward' as const, ...geometry },
]);

// Counts tensors, which a software GPU would only do slowly: the composed kernels keep there what they keep on tensorflow.
const backends = fastTestBackends.filter(({ title }) => !title.startsWith('webgpu'));

describe.each(backends)('the estimate on $title', ({ open }) => {
  let peaks: ReturnType<typeof watchBuffers>;
  let isFused: boolean;
  beforeAll(async () => {
    isFused = (await open()).kernelBuild.endsWith('simd');
    peaks = watchBuffers();
  });
  afterAll(() => {
    peaks.stop();
  });

  /** A little above the truth is right; operations that TensorFlow.js composes are counted by a factor, more roughly. */
  function expectAbove(estimate: number, measured: number) {
    expect(estimate / measured).toBeGreaterThan(0.95);
    expect(estimate / measured).toBeLessThan(isFused ? 1.5 : 4);
  }

  test.each(cases)(
    'a pass of $head, $vocabularySize tokens, width $hiddenSize, $layers layers, $sequences x $width',
    async ({ head, sequences, width, ...sizes }) => {
      const config = gpt2Config({ ...sizes, head, maxPositions: width, eosTokenIds: [] });
      const model = createModel(config, 1);
      const batch = packSequences(randomSequences(Array(sequences).fill(width), config.vocabularySize));
      const { rows, targets } = responseRows(batch, new Int32Array(sequences).fill(1));
      const loss = () =>
        tf.sum(
          head === 'reward'
            ? rewardScores(model, batch)
            : logProbability(logits(model, hiddenStates(model, batch, rows)), targets),
        ) as tf.Scalar;
      const shape = { sequences, width, outputs: head === 'reward' ? sequences : rows.length };

      const scoring = await peaks.during(() => tf.tidy(loss).dispose());
      const training = await peaks.during(() => {
        const { value, gradients } = valueAndGradients(loss, [...model.parameters.values()]);
        tf.dispose([value, ...gradients]);
      });
      expectAbove(scoringBytes(config, shape), scoring);
      // One set of gradients here: there is nothing to add it to.
      expectAbove(trainingBytes(config, shape) + gradientBytes(config) - weightBytes(config), training);
      disposeModel(model);
    },
  );

  const gated = { hidden_size: 48, intermediate_size: 96, num_hidden_layers: 3, num_attention_heads: 4 };
  const families = {
    llama: { ...gated, num_key_value_heads: 2, head_dim: 16, vocab_size: 300, max_position_embeddings: 64 },
    gemma: { ...gated, num_key_value_heads: 1, head_dim: 16, vocab_size: 640, max_position_embeddings: 64 },
    gemma2: { ...gated, num_key_value_heads: 2, head_dim: 16, vocab_size: 640, max_position_embeddings: 64 },
    // Its vocabulary is gone through in chunks.
    qwen2: { ...gated, hidden_size: 16, num_key_value_heads: 2, vocab_size: 70_000, max_position_embeddings: 64 },
  };

  test.each(Object.entries(families))('a pass of %s, with grouped heads and gated layers', async (family, sizes) => {
    const config = parseModelConfig({ model_type: family, ...sizes }, 'here');
    const model = createModel(config, 1);
    const [sequences, width] = family === 'qwen2' ? [2, 8] : [8, 48];
    const batch = packSequences(randomSequences(Array(sequences).fill(width), config.vocabularySize));
    const { rows, targets } = responseRows(batch, new Int32Array(sequences).fill(1));
    const options = { temperature: 1, withEntropy: false };
    const loss = () =>
      tf.sum(
        tokenLogProbabilities(model, hiddenStates(model, batch, rows), targets, options).logProbability,
      ) as tf.Scalar;
    const shape = { sequences, width, outputs: rows.length };
    const scoring = await peaks.during(() => tf.tidy(loss).dispose());
    const training = await peaks.during(() => {
      const { value, gradients } = valueAndGradients(loss, [...model.parameters.values()]);
      tf.dispose([value, ...gradients]);
    });
    expectAbove(scoringBytes(config, shape), scoring);
    expectAbove(trainingBytes(config, shape) + gradientBytes(config) - weightBytes(config), training);
    disposeModel(model);
  });

  test('sampling with a cache', async () => {
    const config = gpt2Config({
      ...{ vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, maxPositions: 32 },
      ...{ head: 'causal-lm', eosTokenIds: [] },
    });
    const model = createModel(config, 1);
    const prompts = randomSequences(Array(64).fill(8), 100);
    const options = { maxNewTokens: 18, random: (row: number) => randomStream(1, row) };
    const measured = await peaks.during(() => sample(model, prompts, options));
    expectAbove(samplingBytes(config, { sequences: 64, width: 8, capacity: 26 }), measured);
    disposeModel(model);
  });
});
