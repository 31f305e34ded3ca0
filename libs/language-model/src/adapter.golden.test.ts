import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { logProbability } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  disposeModel,
  hiddenStates,
  lastTokenRows,
  loadModel,
  logits,
  mergeAdapter,
  modelGradients,
  packSequences,
  rewardScores,
  rewardsOf,
  trainableParameters,
  unmergeAdapter,
  type LanguageModel,
  type TokenBatch,
} from './index';

interface Numbers {
  shape: number[];
  data: number[];
}
type Batch = Record<'input_ids' | 'attention_mask', Numbers>;

// References: peft 0.21.2 on transformers 5.23.0; tolerances as measured (goldens/README.md).
const tolerance = {
  outputs: { atol: 5e-5, rtol: 1e-5 },
  sumOfSquares: { atol: 0, rtol: 2e-6 },
  loss: { atol: 1e-5, rtol: 5e-6 },
  gradient: { atol: 1e-5, rtol: 1e-4 },
  gradientNorm: { atol: 1e-5, rtol: 5e-5 },
  merged: { atol: 1e-5, rtol: 2e-6 },
};
const names = ['gpt2-attn', 'gemma-qv', 'gemma-all-linear-rslora', 'llama-reward-qv', 'llama-reward-all-linear'];
const available = goldenPath('adapters', 'gpt2-attn') !== undefined;
const read = (name: string) => JSON.parse(readFileSync(goldenPath('golden', 'adapters', `${name}.json`)!, 'utf8'));
/** As the reference calls it. */
const peftName = (name: string) =>
  `base_model.model.${name.replace(/\.(lora_[AB])\.weight$/, '.$1.default.weight').replace(/^score\./, 'score.modules_to_save.default.')}`;

describe.each(testBackends)('on $title', ({ title, open }) => {
  beforeAll(async () => {
    await open();
  });

  // Software graphics are slow; these two have both heads, both orders of stored weights and both ways of naming targets.
  const some = title.startsWith('webgpu') ? ['gpt2-attn', 'llama-reward-all-linear'] : names;
  describe.each(some)('%s on its model computes what PEFT computes', (name) => {
    const goldenTest = (title: string, run: (model: LanguageModel, golden: ReturnType<typeof read>) => Promise<void>) =>
      (available ? test : test.skip)(title, async () => {
        const golden = read(name);
        await expect(async () => {
          const model = await loadModel(goldenPath('models', golden.base)!, { adapter: goldenPath('adapters', name)! });
          await run(model, golden);
          disposeModel(model);
        }).toNotLeakTensors();
      });

    goldenTest('applied, merged, unmerged again and switched off', async (model, golden) => {
      await expectOutputs(model, golden, golden.unmerged);
      const merged = mergeAdapter(model);
      await expectOutputs(merged, golden, golden.merged);
      for (const [weight, { sum, sum_of_squares }] of Object.entries<Record<string, number>>(golden.merged_weights)) {
        // No adapter changes a bias, and of this one only parts are listed.
        if (weight.endsWith('[query and value parts]')) continue;
        const values = [...(await merged.parameters.get(weight)!.data())];
        expect([values.reduce((a, b) => a + b, 0)]).toBeAllclose([sum!], tolerance.merged);
        expect([sumOfSquares(values)]).toBeAllclose([sum_of_squares!], tolerance.merged);
      }
      unmergeAdapter(merged, model);
      await expectOutputs(model, golden, golden.unmerged);
      const { config, parameters } = model;
      await expectOutputs({ config, parameters }, golden, golden.adapter_switched_off);
    });

    goldenTest('what is trained, and its gradients', async (model, { trainable_parameters, gradients: golden }) => {
      const trained = trainableParameters(model);
      const shapes = [...trained].map(([parameter, { shape }]) => [peftName(parameter), shape]);
      expect(Object.fromEntries(shapes)).toEqual(trainable_parameters);

      const { value, gradients } = gradientsOf(model, golden.batch);
      expect(await value.data()).toBeAllclose([golden.loss], tolerance.loss);
      const values = await Promise.all(gradients.map((gradient) => gradient.data()));
      const norms = values.map((data) => Math.sqrt(sumOfSquares(data)));
      [...trained.keys()].map(peftName).forEach((parameter, i) => {
        expect([norms[i]!]).toBeAllclose([golden.grad_norms[parameter]], tolerance.gradientNorm);
        const whole = golden.grads[parameter];
        if (whole) expect(values[i]!).toBeAllclose(whole.data, tolerance.gradient);
      });
      expect([Math.hypot(...norms)]).toBeAllclose([golden.global_grad_norm], tolerance.gradientNorm);
      tf.dispose([value, ...gradients]);
    });
  });
});

function batchOf({ input_ids, attention_mask }: Batch): TokenBatch {
  const [batch = 0, width = 0] = input_ids.shape;
  const row = (b: number) => input_ids.data.slice(b * width, (b + 1) * width);
  const isToken = (b: number) => (_: number, t: number) => attention_mask.data[b * width + t] === 1;
  return packSequences(
    Array.from({ length: batch }, (_, b) => Int32Array.from(row(b).filter(isToken(b)))),
    width,
  );
}

async function expectOutputs(model: LanguageModel, batch: Batch, golden: Record<string, Numbers | number>) {
  const packed = batchOf(batch);
  if (golden['scores']) {
    const scores = tf.tidy(() => rewardScores(model, packed));
    expect(await scores.data()).toBeAllclose((golden['scores'] as Numbers).data, tolerance.outputs);
    scores.dispose();
    return;
  }
  const mask = batch.attention_mask.data;
  const rows = Int32Array.from(mask.keys()).filter((row) => mask[row]);
  const tensor = tf.tidy(() => logits(model, hiddenStates(model, packed, rows)));
  const scores = await tensor.data();
  tensor.dispose();
  if (golden['logits_sum_of_squares'] !== undefined)
    expect([sumOfSquares(scores)]).toBeAllclose([golden['logits_sum_of_squares'] as number], tolerance.sumOfSquares);
  if (golden['logits']) {
    const { data } = golden['logits'] as Numbers;
    const width = data.length / mask.length;
    expect(scores).toBeAllclose(
      data.filter((_, i) => mask[Math.floor(i / width)]),
      tolerance.outputs,
    );
  }
}

/** Of the Bradley-Terry loss of pairs, or the mean of -log p over responses. */
function gradientsOf(model: LanguageModel, golden: Record<string, Batch & { response_mask: Numbers }> & Batch) {
  if (model.config.head === 'reward') {
    const [chosen, rejected] = [golden['chosen']!, golden['rejected']!].map(batchOf) as [TokenBatch, TokenBatch];
    const sequences = [chosen, rejected].flatMap(({ ids, lengths, width }) =>
      Array.from(lengths, (length, b) => ids.slice(b * width, b * width + length)),
    );
    const pairs = sequences.length / 2;
    const batch = packSequences(sequences);
    return modelGradients(model, batch, lastTokenRows(batch), (hidden) => {
      const [better, worse] = tf.split(rewardsOf(model, hidden), [pairs, pairs]) as [tf.Tensor1D, tf.Tensor1D];
      return tf.mean(tf.log1p(tf.exp(tf.sub(worse, better))));
    });
  }
  const mask = (golden as unknown as { response_mask: Numbers }).response_mask.data;
  const batch = batchOf(golden);
  const predicted = Int32Array.from(mask.keys()).filter((i) => mask[i]);
  const targets = predicted.map((i) => batch.ids[i]!);
  const rows = predicted.map((i) => i - 1);
  return modelGradients(model, batch, rows, (hidden) =>
    tf.neg(tf.mean(logProbability(logits(model, hidden), targets))),
  );
}

function sumOfSquares(x: ArrayLike<number>): number {
  return Array.from(x).reduce((sum, value) => sum + value * value, 0);
}
