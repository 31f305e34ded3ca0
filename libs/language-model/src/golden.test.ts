import { beforeAll, describe, expect } from '@jest/globals';
import { entropy, randomStream } from '@surefoot/tensor';
import { testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { batchStates } from './decoder';
import {
  batchOf,
  causalModels,
  expectChecksums,
  expectStates,
  goldenTest,
  readGolden,
  rowsOf,
  sequencesOf,
  sumOfSquares,
  tolerance,
  type Numbers,
} from './golden-testing';
import { hiddenStates, logits, sample, sequenceLogProbabilities, type LanguageModel, type TokenBatch } from './index';

describe.each(testBackends)('on $title', ({ title, open }) => {
  // Many times slower; gpt2 and gemma2 have what the others have but SiLU, which the reward models bring.
  const isSlow = /plain|webgpu/.test(title);

  beforeAll(async () => {
    await open();
  });

  describe.each(isSlow ? ['gpt2', 'gemma2'] : causalModels)('%s computes what the reference computes', (name) => {
    goldenTest('loaded parameters', name, async (model, { loaded_parameters }) => {
      await expectChecksums(model, loaded_parameters, tolerance.loaded, tolerance.loaded);
    });

    goldenTest('hidden states, logits, entropies', name, async (model, { forward }) => {
      for (const each of forward) {
        const batch = batchOf(each);
        await expectStates(
          tf.tidy(() => batchStates(model, batch)),
          each,
        );
        await expectLogits(model, batch, each);
      }
    });

    goldenTest('token log-probabilities', name, async (model, { token_logprobs: golden }) => {
      const sequences = sequencesOf(golden);
      for (const temperature of [1, 0.7]) {
        const { logProbabilities } = await sequenceLogProbabilities(model, sequences, { temperature, microBatch: 2 });
        const want = rowsOf(golden[`logprobs_t${temperature.toFixed(1)}`], golden).map((row) => row.slice(1));
        expect(logProbabilities.flatMap((row) => [...row])).toBeAllclose(want.flat(), tolerance.logits);
      }
    });

    goldenTest('greedy generation', name, async (model, { generation }) => {
      const options = { maxNewTokens: generation.new_tokens, greedy: true, random: () => randomStream(0) };
      const together = await sample(model, generation.prompts, { ...options, eosTokenIds: [] });
      expect(together.map(({ ids }) => [...ids])).toEqual(generation.outputs);
      if (isSlow) return;
      const alone = await sample(model, generation.prompts, { ...options, eosTokenIds: [], batchSize: 1 });
      expect(alone).toEqual(together);
      const { eos_token_id, outputs_padded } = generation.with_eos;
      const stopped = await sample(model, generation.prompts, { ...options, eosTokenIds: [eos_token_id] });
      const padding = new Array(generation.new_tokens).fill(generation.pad_token_id);
      const padded = stopped.map(({ ids }) => [...ids, ...padding].slice(0, padding.length));
      expect(padded).toEqual(outputs_padded);
    });
  });
});

async function expectLogits(model: LanguageModel, batch: TokenBatch, golden: ReturnType<typeof readGolden>) {
  const mask: number[] = golden.attention_mask.data;
  const rows = Int32Array.from(mask.keys()).filter((row) => mask[row]);
  const valid = (numbers: Numbers) => {
    const width = numbers.data.length / mask.length;
    return numbers.data.filter((_, i) => mask[Math.floor(i / width)]);
  };
  const scores = tf.tidy(() => logits(model, hiddenStates(model, batch, rows)));
  for (const temperature of [1, 0.7]) {
    const got = tf.tidy(() => entropy(tf.mul(scores, 1 / temperature)));
    expect(await got.data()).toBeAllclose(valid(golden[`entropy_t${temperature.toFixed(1)}`]), tolerance.logits);
    got.dispose();
  }
  if (golden.logits) expect(await scores.data()).toBeAllclose(valid(golden.logits), tolerance.logits);
  else {
    const table = (await scores.array()) as number[][];
    const logSumExp = (row: number[]) => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    const first8 = table.flatMap((row) => row.slice(0, 8));
    expect(first8).toBeAllclose(golden.logits_first8.data, tolerance.logits);
    expect(table.map(logSumExp)).toBeAllclose(golden.logits_logsumexp.data, tolerance.logits);
    expect(table.map((row) => Math.max(...row))).toBeAllclose(golden.logits_max.data, tolerance.logits);
    expect(table.map((row) => row.indexOf(Math.max(...row)))).toEqual(golden.logits_argmax.data);
    expect([sumOfSquares(table.flat())]).toBeAllclose([golden.logits_sum_of_squares], tolerance.sumOfSquares);
  }
  scores.dispose();
}
