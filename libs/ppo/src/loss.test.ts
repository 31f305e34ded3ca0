import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { testBackends } from '@surefoot/tensor/testing';
import { policyShift, valueClipFraction } from './diagnostics';
import { policyLoss, valueLoss } from './loss';

const vector = (...x: number[]) => tf.tensor1d(x);

describe.each(testBackends)('losses on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test('the clipped branch has no gradient where the ratio has moved the way of its advantage', async () => {
    // ratios 2, 2, .5, .5 with advantages 1, -1, 1, -1, clip .2: losses -1.2, 2, -.5, .8
    const options = {
      oldLogprobs: vector(0, 0, 0, 0),
      advantages: vector(1, -1, 1, -1),
      clipRange: 0.2,
    };
    const { value, grad } = tf.valueAndGrad((logprobs) => policyLoss(logprobs as tf.Tensor1D, options))(
      vector(Math.LN2, Math.LN2, -Math.LN2, -Math.LN2),
    );
    expect(await value.data()).toBeAllclose([(-1.2 + 2 - 0.5 + 0.8) / 4]);
    expect(await grad.data()).toBeAllclose([0, 2 / 4, -0.5 / 4, 0]);
  });

  test('the policy loss has the gradient of its finite differences', async () => {
    const options = {
      oldLogprobs: vector(-1, -2, -0.5),
      advantages: vector(0.7, -1.3, 0.2),
      clipRange: 0.2,
    };
    const at = [-1.1, -1.7, -0.45];
    const loss = async (x: number[]) => (await policyLoss(vector(...x), options).data())[0]!;
    const step = 1e-2;
    const differences = [];
    for (const i of at.keys()) {
      const moved = (by: number) => loss(at.map((x, j) => (i === j ? x + by : x)));
      differences.push(((await moved(step)) - (await moved(-step))) / (2 * step));
    }
    const gradient = tf.grad((x) => policyLoss(x as tf.Tensor1D, options))(vector(...at));
    expect(await gradient.data()).toBeAllclose([...differences], { atol: 1e-4 });
  });

  test('the value loss takes the larger of plain and clipped error', async () => {
    const options = { oldValues: vector(0, 0), returns: vector(1, -1), valueClipRange: 0.2 };
    // v = .5: errors .25 and (.2 - 1)^2 = .64; 2.25 and (.2 + 1)^2 = 1.44
    const { value, grad } = tf.valueAndGrad((values) => valueLoss(values as tf.Tensor1D, options))(vector(0.5, 0.5));
    expect(await value.data()).toBeAllclose([(0.64 + 2.25) / 4]);
    expect(await grad.data()).toBeAllclose([0, 1.5 / 2]);
    const unclipped = valueLoss(vector(0.5, 0.5), { ...options, valueClipRange: 0 });
    expect(await unclipped.data()).toBeAllclose([(0.25 + 2.25) / 4]);
  });
});

test('diagnostics of those same numbers', () => {
  const shift = policyShift([Math.LN2, Math.LN2, -Math.LN2, -Math.LN2 / 8], {
    oldLogprobs: [0, 0, 0, 0],
    advantages: [1, -1, 1, -1],
    clipRange: 0.2,
    rollouts: 2,
  });
  expect(shift.ratioDeviation).toBeCloseTo(1, 12);
  expect(shift.clipFraction).toBe(3 / 4);
  expect(shift.objectiveClipFraction).toBe(1 / 4);
  // k1 of old to new is -ln ratio: sums -2 ln 2 and ln 2 (1 + 1/8)
  expect(shift.sequenceKl).toBeCloseTo((Math.LN2 * (-2 + 9 / 8)) / 2, 12);
  expect(shift.approxKl).toBeGreaterThan(0);
  expect(valueClipFraction([0.5, 0.5], { oldValues: [0, 0], returns: [1, -1], valueClipRange: 0.2 })).toBe(0.5);
});
