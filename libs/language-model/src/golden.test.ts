import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { createAdamW, entropy, logProbability, randomStream, valueAndGradients } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { batchStates } from './decoder';
import {
  disposeModel,
  hiddenStates,
  loadModel,
  logits,
  packSequences,
  sample,
  sequenceLogProbabilities,
  type LanguageModel,
  type TokenBatch,
} from './index';

interface Numbers {
  shape: number[];
  data: number[];
}
interface Batch {
  input_ids: Numbers;
  attention_mask: Numbers;
  response_mask: Numbers;
}

// References: transformers 5.23.0, torch 2.15.0, float32, CPU; tolerances measured against float64 (goldens/README.md).
const tolerance = {
  logits: { atol: 5e-5, rtol: 1e-5 },
  hidden: { atol: 5e-6, rtol: 5e-6 },
  sumOfSquares: { atol: 0, rtol: 2e-6 },
  loss: { atol: 1e-5, rtol: 5e-6 },
  gradient: { atol: 1e-5, rtol: 1e-4 },
  gradientNorm: { atol: 1e-5, rtol: 5e-5 },
  // The reference has 9 digits.
  loaded: { atol: 1e-9, rtol: 5e-9 },
  adamwSum: { atol: 3e-4, rtol: 1e-5 },
  adamwSumOfSquares: { atol: 1e-5, rtol: 2e-6 },
  adamwValue: { atol: 2e-5, rtol: 1e-5 },
};
const names = [
  'gpt2',
  'gpt2-bf16',
  'gpt2-sharded',
  'gpt2-legacy-names',
  'llama',
  'llama-head-dim',
  'llama-head-dim-v4',
  'gemma',
  'qwen2',
  'mistral',
  'gemma2',
];
const available = goldenPath('models', 'gpt2') !== undefined;
const read = (name: string) => JSON.parse(readFileSync(goldenPath('golden', 'models', `${name}.json`)!, 'utf8'));

describe.each(testBackends)('on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  describe.each(names)('%s computes what the reference computes', (name) => {
    const goldenTest = (title: string, run: (model: LanguageModel, golden: ReturnType<typeof read>) => Promise<void>) =>
      (available ? test : test.skip)(title, async () => {
        const model = await loadModel(goldenPath('models', name)!);
        try {
          await run(model, read(name));
        } finally {
          disposeModel(model);
        }
      });

    goldenTest('loaded parameters', async (model, { loaded_parameters }) => {
      await expectChecksums(model, loaded_parameters, tolerance.loaded, tolerance.loaded);
    });

    goldenTest('hidden states, logits, entropies', async (model, { forward }) => {
      for (const each of forward) {
        const batch = batchOf(each);
        const tensors = tf.tidy(() => batchStates(model, batch));
        const states = await Promise.all(tensors.map((state) => state.array() as Promise<number[][]>));
        tf.dispose(tensors);
        const valid = states.map((state) => state.filter((_, row) => each.attention_mask.data[row]).flat());
        expect(valid.map(mean)).toBeAllclose(each.hidden_state_means, tolerance.hidden);
        expect(valid.map((x) => Math.sqrt(mean(x.map((v) => v * v))))).toBeAllclose(
          each.hidden_state_rms,
          tolerance.hidden,
        );
        await expectLogits(model, batch, each);
      }
    });

    goldenTest('token log-probabilities', async (model, { token_logprobs: golden }) => {
      const sequences = sequencesOf(golden);
      for (const temperature of [1, 0.7]) {
        const { logProbabilities } = await sequenceLogProbabilities(model, sequences, { temperature, microBatch: 2 });
        const want = rowsOf(golden[`logprobs_t${temperature.toFixed(1)}`], golden).map((row) => row.slice(1));
        expect(logProbabilities.flatMap((row) => [...row])).toBeAllclose(want.flat(), tolerance.logits);
      }
    });

    goldenTest('greedy generation', async (model, { generation }) => {
      const options = { maxNewTokens: generation.new_tokens, greedy: true, random: () => randomStream(0) };
      const together = await sample(model, generation.prompts, { ...options, eosTokenIds: [] });
      expect(together.map(({ ids }) => [...ids])).toEqual(generation.outputs);
      const alone = await sample(model, generation.prompts, { ...options, eosTokenIds: [], batchSize: 1 });
      expect(alone).toEqual(together);
      const { eos_token_id, outputs_padded } = generation.with_eos;
      const stopped = await sample(model, generation.prompts, { ...options, eosTokenIds: [eos_token_id] });
      const padding = new Array(generation.new_tokens).fill(generation.pad_token_id);
      const padded = stopped.map(({ ids }) => [...ids, ...padding].slice(0, padding.length));
      expect(padded).toEqual(outputs_padded);
    });
  });

  const gpt2Test = available ? test : test.skip;

  gpt2Test('gradients are those of the reference', async () => {
    const model = await loadModel(goldenPath('models', 'gpt2')!);
    const { gradients: golden } = read('gpt2');
    const { value, gradients } = valueAndGradients(() => responseLoss(model, golden), [...model.parameters.values()]);
    expect(await value.data()).toBeAllclose([golden.loss], tolerance.loss);
    const values = await Promise.all(gradients.map((gradient) => gradient.data()));
    const norms = values.map((data) => Math.sqrt(sumOfSquares(data)));
    [...model.parameters.keys()].forEach((name, i) => {
      expect([norms[i]!]).toBeAllclose([golden.grad_norms[name]], tolerance.gradientNorm);
      if (golden.grads[name]) expect(values[i]!).toBeAllclose(golden.grads[name].data, tolerance.gradient);
    });
    expect([Math.hypot(...norms)]).toBeAllclose([golden.global_grad_norm], tolerance.gradientNorm);
    tf.dispose([value, ...gradients]);
    disposeModel(model);
  });

  gpt2Test('three AdamW steps end where the reference ends', async () => {
    const model = await loadModel(goldenPath('models', 'gpt2')!);
    const { adamw: golden } = read('gpt2');
    const parameters = [...model.parameters.values()];
    const { lr, betas, eps, weight_decay: weightDecay } = golden.optimizer;
    const optimizer = createAdamW(parameters, { beta1: betas[0], beta2: betas[1], epsilon: eps, weightDecay });
    for (const [step, batch] of golden.batches.entries()) {
      const { loss_before_step, parameters_after_step } = golden.steps[step];
      const { value, gradients } = valueAndGradients(() => responseLoss(model, batch), parameters);
      expect(await value.data()).toBeAllclose([loss_before_step], tolerance.loss);
      optimizer.step(gradients, lr);
      tf.dispose([value, ...gradients]);
      await expectChecksums(model, parameters_after_step, tolerance.adamwSum, tolerance.adamwSumOfSquares);
    }
    for (const [name, { data }] of Object.entries<Numbers>(golden.final_values))
      expect(await comparableValues(model, name)).toBeAllclose(data, tolerance.adamwValue);
    const last = tf.tidy(() => responseLoss(model, golden.batches[0]));
    expect(await last.data()).toBeAllclose([golden.loss_of_first_batch_at_end], tolerance.loss);
    last.dispose();
    optimizer.dispose();
    disposeModel(model);
  });
});

function batchOf({ input_ids, attention_mask }: Omit<Batch, 'response_mask'>): TokenBatch {
  return packSequences(sequencesOf({ input_ids, attention_mask }), input_ids.shape[1]);
}

function sequencesOf({ input_ids, attention_mask }: Omit<Batch, 'response_mask'>): Int32Array[] {
  return rowsOf(input_ids, { attention_mask }).map((row) => Int32Array.from(row));
}

/** The rows of a [B, T] tensor without padding. */
function rowsOf({ shape: [batch = 0, width = 0], data }: Numbers, { attention_mask }: Pick<Batch, 'attention_mask'>) {
  return Array.from({ length: batch }, (_, row) =>
    data.slice(row * width, (row + 1) * width).filter((_value, t) => attention_mask.data[row * width + t]),
  );
}

/** Mean of -log p over the response. */
function responseLoss(model: LanguageModel, golden: Batch): tf.Scalar {
  const batch = batchOf(golden);
  const predicted = [...golden.response_mask.data.keys()].filter((i) => golden.response_mask.data[i]);
  const rows = Int32Array.from(predicted, (i) => i - 1);
  const targets = Int32Array.from(predicted, (i) => batch.ids[i]!);
  return tf.neg(tf.mean(logProbability(logits(model, hiddenStates(model, batch, rows)), targets)));
}

async function expectLogits(model: LanguageModel, batch: TokenBatch, golden: ReturnType<typeof read>) {
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

async function expectChecksums(
  model: LanguageModel,
  golden: Record<string, { sum: number; sum_of_squares: number }>,
  sumTolerance: { atol: number; rtol: number },
  sumOfSquaresTolerance: { atol: number; rtol: number },
) {
  for (const [name, { sum, sum_of_squares }] of Object.entries(golden)) {
    const data = await comparableValues(model, name);
    expect([data.reduce((a, b) => a + b, 0)]).toBeAllclose([sum], sumTolerance);
    expect([sumOfSquares(data)]).toBeAllclose([sum_of_squares], sumOfSquaresTolerance);
  }
}

/**
 * A parameter's values; of `c_attn.bias[query and value parts]` two thirds: the gradient of the key part is 0 but for rounding,
 * which AdamW turns into steps of random sign.
 */
async function comparableValues(model: LanguageModel, name: string): Promise<number[]> {
  const [parameter, part] = name.split('[') as [string, string | undefined];
  const values = [...(await model.parameters.get(parameter)!.data())];
  const third = values.length / 3;
  return part ? [...values.slice(0, third), ...values.slice(2 * third)] : values;
}

function mean(x: number[]): number {
  return x.reduce((a, b) => a + b, 0) / x.length;
}

function sumOfSquares(x: ArrayLike<number>): number {
  return Array.from(x).reduce((sum, value) => sum + value * value, 0);
}
