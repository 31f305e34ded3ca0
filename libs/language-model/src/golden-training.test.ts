import { beforeAll, describe, expect } from '@jest/globals';
import { createAdamW, logProbability } from '@surefoot/tensor';
import { testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import {
  batchOf,
  comparableValues,
  expectChecksums,
  goldenTest,
  readGolden,
  rewardModels,
  sumOfSquares,
  tolerance,
  type GoldenBatch,
  type Numbers,
} from './golden-testing';
import {
  logits,
  lastTokenRows,
  modelGradients,
  packSequences,
  rewardsOf,
  trainableParameters,
  type LanguageModel,
  type TokenBatch,
} from './index';

// The others differ from one of these in how their files are written alone.
const trainedModels = ['gpt2', 'llama', 'llama-head-dim', 'gemma', 'qwen2', 'mistral', 'gemma2'];

type Rows = Pick<GoldenBatch, 'input_ids' | 'attention_mask'>;
interface GoldenGradients {
  loss: number;
  grad_norms: Record<string, number>;
  global_grad_norm: number;
  grads: Record<string, Numbers>;
}

describe.each(testBackends)('on $title', ({ title, open }) => {
  // Many times slower than the others, and all families share their operations: between them these models use every one.
  const isSlow = /plain|webgpu/.test(title);

  beforeAll(async () => {
    await open();
  });

  describe.each(isSlow ? ['gpt2', 'gemma2'] : trainedModels)('%s learns as the reference does', (name) => {
    goldenTest('gradients of the mean -log p of a response', name, async (model, { gradients }) => {
      await expectGradients(model, responseGradients(model, gradients), gradients);
    });

    goldenTest('three steps of AdamW', name, async (model, { adamw }) => {
      await expectSteps(model, adamw, (batch: GoldenBatch) => responseGradients(model, batch));
    });
  });

  describe.each(isSlow ? ['llama-reward'] : rewardModels)('%s learns as the reference does', (name) => {
    goldenTest('gradients of the Bradley-Terry loss, with margins and centring too', name, async (model, golden) => {
      const {
        chosen,
        rejected,
        plain,
        margin,
        center_coefficient,
        with_margin_and_centring: both,
      } = golden.bradley_terry;
      await expectGradients(model, pairGradients(model, { chosen, rejected }), plain);
      const extras = { margins: margin.data, centring: center_coefficient };
      await expectGradients(model, pairGradients(model, { chosen, rejected }, extras), both);
    });

    goldenTest('three steps of AdamW', name, async (model, { adamw }) => {
      await expectSteps(model, adamw, (batch: { chosen: Rows; rejected: Rows }) => pairGradients(model, batch));
    });
  });
});

type Gradients = ReturnType<typeof modelGradients>;

function responseGradients(model: LanguageModel, golden: GoldenBatch): Gradients {
  const batch = batchOf(golden);
  const predicted = [...golden.response_mask.data.keys()].filter((i) => golden.response_mask.data[i]);
  const targets = Int32Array.from(predicted, (i) => batch.ids[i]!);
  return modelGradients(
    model,
    batch,
    Int32Array.from(predicted, (i) => i - 1),
    (hidden) => tf.neg(tf.mean(logProbability(logits(model, hidden), targets))),
  );
}

/** Of the mean of `-log sigmoid(c - r - margin) + centring (c + r)^2`. */
function pairGradients(
  model: LanguageModel,
  { chosen, rejected }: { chosen: Rows; rejected: Rows },
  { margins = [0], centring = 0 }: { margins?: number[]; centring?: number } = {},
): Gradients {
  const batch = joined(batchOf(chosen), batchOf(rejected));
  return modelGradients(model, batch, lastTokenRows(batch), (hidden) => {
    const [c, r] = tf.split(rewardsOf(model, hidden), 2) as [tf.Tensor1D, tf.Tensor1D];
    const loss = tf.softplus(tf.sub(margins, tf.sub(c, r)));
    return tf.mean(tf.add(loss, tf.mul(tf.square(tf.add(c, r)), centring)));
  });
}

function joined(...batches: TokenBatch[]): TokenBatch {
  return packSequences(
    batches.flatMap(({ ids, lengths, width }) =>
      Array.from(lengths, (length, row) => ids.subarray(row * width, row * width + length)),
    ),
  );
}

async function expectGradients(model: LanguageModel, got: Gradients, golden: GoldenGradients): Promise<void> {
  const { value, gradients } = got;
  expect(await value.data()).toBeAllclose([golden.loss], tolerance.loss);
  const values = await Promise.all(gradients.map((gradient) => gradient.data()));
  const norms = values.map((data) => Math.sqrt(sumOfSquares(data)));
  const names = [...trainableParameters(model).keys()];
  expect(names.toSorted()).toEqual(Object.keys(golden.grad_norms).sort());
  names.forEach((name, i) => {
    expect([norms[i]!]).toBeAllclose([golden.grad_norms[name]!], tolerance.gradientNorm);
    if (golden.grads[name]) expect(values[i]!).toBeAllclose(golden.grads[name].data, tolerance.gradient);
  });
  expect([Math.hypot(...norms)]).toBeAllclose([golden.global_grad_norm], tolerance.gradientNorm);
  tf.dispose([value, ...gradients]);
}

async function expectSteps<Batch>(
  model: LanguageModel,
  golden: ReturnType<typeof readGolden>['adamw'],
  gradientsOf: (batch: Batch) => Gradients,
): Promise<void> {
  const { lr, betas, eps: epsilon, weight_decay: weightDecay } = golden.optimizer;
  const parameters = [...model.parameters.values()];
  const optimizer = createAdamW(parameters, { beta1: betas[0], beta2: betas[1], epsilon, weightDecay });
  for (const [step, batch] of golden.batches.entries()) {
    const { loss_before_step, parameters_after_step } = golden.steps[step];
    const { value, gradients } = gradientsOf(batch);
    expect(await value.data()).toBeAllclose([loss_before_step], tolerance.loss);
    optimizer.step(gradients, lr);
    tf.dispose([value, ...gradients]);
    await expectChecksums(model, parameters_after_step, tolerance.adamwSum, tolerance.adamwSumOfSquares);
  }
  for (const [name, { data }] of Object.entries<Numbers>(golden.final_values))
    expect(await comparableValues(model, name)).toBeAllclose(data, tolerance.adamwValue);
  const last = gradientsOf(golden.batches[0]);
  expect(await last.value.data()).toBeAllclose([golden.loss_of_first_batch_at_end], tolerance.loss);
  tf.dispose([last.value, ...last.gradients]);
  optimizer.dispose();
}
