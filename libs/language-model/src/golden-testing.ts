import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { disposeModel, loadModel, packSequences, type LanguageModel, type TokenBatch } from './index';

/** A tensor of a reference file, row-major. */
export interface Numbers {
  shape: number[];
  data: number[];
}

/** Rows of a reference file, padded on the right; of a loss also which tokens it is over. */
export interface GoldenBatch {
  input_ids: Numbers;
  attention_mask: Numbers;
  response_mask: Numbers;
}

/** References: transformers 5.23.0, torch 2.15.0, float32, CPU; tolerances measured against float64 (goldens/README.md). */
export const tolerance = {
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

export const causalModels = [
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
export const rewardModels = ['llama-reward', 'gemma-reward'];

const available = goldenPath('models', 'gpt2') !== undefined;

/** The reference of a model. */
export function readGolden(name: string) {
  return JSON.parse(readFileSync(goldenPath('golden', 'models', `${name}.json`)!, 'utf8'));
}

/** A test with a model loaded and its reference; nothing may be left on the backend after it. Skipped without the files. */
export function goldenTest(
  title: string,
  name: string,
  run: (model: LanguageModel, golden: ReturnType<typeof readGolden>) => Promise<void>,
): void {
  (available ? test : test.skip)(title, async () => {
    await expect(async () => {
      const model = await loadModel(goldenPath('models', name)!);
      try {
        await run(model, readGolden(name));
      } finally {
        disposeModel(model);
      }
    }).toNotLeakTensors();
  });
}

type Rows = Pick<GoldenBatch, 'input_ids' | 'attention_mask'>;

export function batchOf({ input_ids, attention_mask }: Rows): TokenBatch {
  return packSequences(sequencesOf({ input_ids, attention_mask }), input_ids.shape[1]);
}

export function sequencesOf({ input_ids, attention_mask }: Rows): Int32Array[] {
  return rowsOf(input_ids, { attention_mask }).map((row) => Int32Array.from(row));
}

/** The rows of a [B, T] tensor without padding. */
export function rowsOf(
  { shape: [batch = 0, width = 0], data }: Numbers,
  { attention_mask }: Pick<Rows, 'attention_mask'>,
) {
  return Array.from({ length: batch }, (_, row) =>
    data.slice(row * width, (row + 1) * width).filter((_value, t) => attention_mask.data[row * width + t]),
  );
}

export async function expectChecksums(
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
export async function comparableValues(model: LanguageModel, name: string): Promise<number[]> {
  const [parameter, part] = name.split('[') as [string, string | undefined];
  const values = [...(await model.parameters.get(parameter)!.data())];
  const third = values.length / 3;
  return part ? [...values.slice(0, third), ...values.slice(2 * third)] : values;
}

function mean(x: number[]): number {
  return x.reduce((a, b) => a + b, 0) / x.length;
}

export function sumOfSquares(x: ArrayLike<number>): number {
  return Array.from(x).reduce((sum, value) => sum + value * value, 0);
}

/** Means and root mean squares over all tokens of the hidden states at every layer, which are disposed. */
export async function expectStates(
  tensors: tf.Tensor2D[],
  golden: Rows & Record<'hidden_state_means' | 'hidden_state_rms', number[]>,
) {
  const states = await Promise.all(tensors.map((state) => state.array()));
  tf.dispose(tensors);
  const valid = states.map((state) => state.filter((_, row) => golden.attention_mask.data[row]).flat());
  expect(valid.map(mean)).toBeAllclose(golden.hidden_state_means, tolerance.hidden);
  const rms = valid.map((values) => Math.sqrt(mean(values.map((value) => value * value))));
  expect(rms).toBeAllclose(golden.hidden_state_rms, tolerance.hidden);
}
