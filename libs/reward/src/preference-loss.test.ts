import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { bradleyTerryLoss } from '@surefoot/preference';
import { openBackend, valueAndGradients } from '@surefoot/tensor';
import { goldenPath } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { preferenceLoss } from './preference-loss';

beforeAll(() => openBackend('wasm'));

const chosen = [0.3, -2, 4, 0];
const rejected = [0.1, 1, -3, 0];
const margins = [0, 0.5, 1, 0];
const centring = 0.01;

function lossAndGradient(scores: number[], margin: number[], weight: number) {
  const variable = tf.variable(tf.tensor1d(scores));
  const { value, gradients } = valueAndGradients(
    () => preferenceLoss(variable as unknown as tf.Tensor1D, Float32Array.from(margin), weight),
    [variable],
  );
  const result = { loss: value.dataSync()[0] as number, gradient: Array.from((gradients[0] as tf.Tensor).dataSync()) };
  tf.dispose([variable, value, ...gradients]);
  return result;
}

describe('preferenceLoss', () => {
  test('is the sum of the losses of the pairs', () => {
    const expected = chosen.reduce(
      (sum, score, i) =>
        sum + bradleyTerryLoss(score, rejected[i] as number, { margin: margins[i] as number, centring }),
      0,
    );
    expect(lossAndGradient([...chosen, ...rejected], margins, centring).loss).toBeCloseTo(expected, 5);
  });

  test('has the gradient that finite differences give', () => {
    const scores = [...chosen, ...rejected];
    const loss = (at: number[]) =>
      margins.reduce(
        (sum, margin, i) =>
          sum + bradleyTerryLoss(at[i] as number, at[i + margins.length] as number, { margin, centring }),
        0,
      );
    const { gradient } = lossAndGradient(scores, margins, centring);
    scores.forEach((score, i) => {
      const step = 1e-5;
      const at = (value: number) => loss(scores.map((other, j) => (j === i ? value : other)));
      expect(gradient[i]).toBeCloseTo((at(score + step) - at(score - step)) / (2 * step), 5);
    });
  });
});

const golden = goldenPath('golden', 'models', 'llama-reward.json');
(golden ? describe : describe.skip)('against transformers and torch on a reward model', () => {
  test('loss, and gradient by score, with margin and centring and without', () => {
    const numbers = (tensor: unknown) => (tensor as { data: number[] }).data;
    const file = JSON.parse(readFileSync(golden as string, 'utf8')) as { bradley_terry: Record<string, never> };
    const reference = file.bradley_terry as Record<string, unknown> &
      Record<'plain' | 'with_margin_and_centring', never>;
    const scores = [...numbers(reference['scores_chosen']), ...numbers(reference['scores_rejected'])];
    const pairs = scores.length / 2;
    // The reference is the mean over the pairs, ours the sum.
    const plain = lossAndGradient(scores, new Array<number>(pairs).fill(0), 0);
    expect(plain.loss / pairs).toBeCloseTo(reference.plain['loss'], 5);
    const full = lossAndGradient(scores, numbers(reference['margin']), reference['center_coefficient'] as number);
    expect(full.loss / pairs).toBeCloseTo(reference.with_margin_and_centring['loss'], 5);
    expect(full.gradient.map((value) => value / pairs)).toBeAllclose(
      [
        ...numbers(reference.with_margin_and_centring['grad_scores_chosen']),
        ...numbers(reference.with_margin_and_centring['grad_scores_rejected']),
      ],
      { atol: 1e-5, rtol: 1e-4 },
    );
  });
});
