import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { bradleyTerryLoss } from '@surefoot/preference';
import { valueAndGradients } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { preferenceLoss } from './preference-loss';

const chosen = [0.3, -2, 4, 0];
const rejected = [0.1, 1, -3, 0];
const margins = [0, 0.5, 1, 0];
const centring = 0.01;

async function lossAndGradient(scores: number[], margin: number[], weight: number) {
  const variable = tf.variable(tf.tensor1d(scores));
  const { value, gradients } = valueAndGradients(
    () => preferenceLoss(variable as unknown as tf.Tensor1D, Float32Array.from(margin), weight),
    [variable],
  );
  const [loss] = await value.data();
  const gradient = Array.from(await gradients[0]!.data());
  tf.dispose([variable, value, ...gradients]);
  return { loss: loss!, gradient };
}

describe.each(testBackends)('preferenceLoss on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test('is the sum of the losses of the pairs', async () => {
    const expected = chosen.reduce(
      (sum, score, i) =>
        sum + bradleyTerryLoss(score, rejected[i] as number, { margin: margins[i] as number, centring }),
      0,
    );
    const { loss } = await lossAndGradient([...chosen, ...rejected], margins, centring);
    expect(loss).toBeCloseTo(expected, 5);
  });

  test('has the gradient that finite differences give', async () => {
    const scores = [...chosen, ...rejected];
    const loss = (at: number[]) =>
      margins.reduce(
        (sum, margin, i) =>
          sum + bradleyTerryLoss(at[i] as number, at[i + margins.length] as number, { margin, centring }),
        0,
      );
    const { gradient } = await lossAndGradient(scores, margins, centring);
    scores.forEach((score, i) => {
      const step = 1e-5;
      const at = (value: number) => loss(scores.map((other, j) => (j === i ? value : other)));
      expect(gradient[i]).toBeCloseTo((at(score + step) - at(score - step)) / (2 * step), 5);
    });
  });
});

const golden = goldenPath('golden', 'models', 'llama-reward.json');
(golden ? describe : describe.skip).each(testBackends)(
  'against transformers and torch on a reward model, $title',
  ({ open }) => {
    beforeAll(async () => {
      await open();
    });

    test('loss, and gradient by score, with margin and centring and without', async () => {
      const numbers = (tensor: unknown) => (tensor as { data: number[] }).data;
      const file = JSON.parse(readFileSync(golden as string, 'utf8')) as { bradley_terry: Record<string, never> };
      const reference = file.bradley_terry as Record<string, unknown> &
        Record<'plain' | 'with_margin_and_centring', never>;
      const scores = [...numbers(reference['scores_chosen']), ...numbers(reference['scores_rejected'])];
      const pairs = scores.length / 2;
      // The reference is the mean over the pairs, ours the sum.
      const plain = await lossAndGradient(scores, new Array<number>(pairs).fill(0), 0);
      expect(plain.loss / pairs).toBeCloseTo(reference.plain['loss'], 5);
      const full = await lossAndGradient(
        scores,
        numbers(reference['margin']),
        reference['center_coefficient'] as number,
      );
      expect(full.loss / pairs).toBeCloseTo(reference.with_margin_and_centring['loss'], 5);
      expect(full.gradient.map((value) => value / pairs)).toBeAllclose(
        [
          ...numbers(reference.with_margin_and_centring['grad_scores_chosen']),
          ...numbers(reference.with_margin_and_centring['grad_scores_rejected']),
        ],
        { atol: 1e-5, rtol: 1e-4 },
      );
    });
  },
);
