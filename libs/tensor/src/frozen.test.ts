import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { layerNorm, linear, rmsNorm, valueAndGradients } from './index';
import { randomFloats } from './test-decoder';
import { testBackends } from './testing';

/** A parameter, frozen or not. */
function parameter<Rank extends tf.Rank>(
  shape: tf.ShapeMap[Rank],
  seed: number,
  trainable: boolean,
): tf.Variable<Rank> {
  const size = shape.reduce((a: number, b) => a * b, 1);
  return tf.tidy(() => tf.variable(tf.tensor<Rank>(randomFloats(size, seed), shape), trainable));
}

/** Two linear layers and two norms of such parameters, which are named by what they are. */
function network(trainable: boolean) {
  const of = {
    first: parameter<tf.Rank.R2>([5, 7], 1, trainable),
    bias: parameter<tf.Rank.R1>([7], 2, trainable),
    gain: parameter<tf.Rank.R1>([7], 3, trainable),
    shift: parameter<tf.Rank.R1>([7], 4, trainable),
    second: parameter<tf.Rank.R2>([3, 7], 5, trainable),
  };
  const layers = (x: tf.Tensor2D) => {
    const wide = linear(x, of.first, { bias: of.bias });
    const normed = rmsNorm(layerNorm(wide, of.gain, of.shift), of.gain, { epsilon: 1e-5 });
    return linear(normed, of.second, { transposeWeight: true });
  };
  return { of, layers, dispose: () => tf.dispose(of) };
}

describe.each(testBackends)('frozen parameters, $title', ({ open }) => {
  beforeEach(() => open());

  test('the gradient of what comes before has the same bits as through trained ones', async () => {
    const x = parameter<tf.Rank.R2>([4, 5], 9, true);
    const gradients = await Promise.all(
      [false, true].map(async (trainable) => {
        const { layers, dispose } = network(trainable);
        const { value, gradients } = valueAndGradients(() => tf.sum(tf.square(layers(x))), [x]);
        const values = await gradients[0]!.data();
        tf.dispose([value, ...gradients]);
        dispose();
        return [...values];
      }),
    );
    expect(gradients[0]).toEqual(gradients[1]);
    x.dispose();
  });
});

// TensorFlow.js' own product, of which the plain kernels are made, keeps both of its inputs.
const tuned = testBackends.filter(({ title }) => !title.includes('plain'));

describe.each(tuned)('frozen parameters of kernels, $title', ({ open }) => {
  beforeEach(() => open());

  test('no gradient is taken of one', () => {
    const { of, layers, dispose } = network(false);
    const x = parameter<tf.Rank.R2>([4, 5], 9, true);
    for (const frozen of Object.values(of))
      expect(() => valueAndGradients(() => tf.sum(layers(x)), [x, frozen])).toThrow(/does not depend on parameter 1/);
    dispose();
    x.dispose();
  });

  test('a linear layer with a frozen weight keeps nothing for its gradient', () => {
    const x = parameter<tf.Rank.R2>([4, 5], 9, true);
    // [4, 5] to [4, 7] to [4, 3] makes 48 bytes; trained weights keep themselves, x and what is between, 140 + 84 + 80 + 112.
    for (const [trainable, bytes] of [
      [false, 48],
      [true, 48 + 140 + 84 + 80 + 112],
    ] as const) {
      const { of, dispose } = network(trainable);
      let held = 0;
      const { value, gradients } = valueAndGradients(() => {
        const before = tf.memory().numBytes;
        const y = tf.tidy(() => linear(linear(x, of.first, { bias: of.bias }), of.second, { transposeWeight: true }));
        held = tf.memory().numBytes - before;
        return tf.sum(y);
      }, [x]);
      expect(held).toBe(bytes);
      tf.dispose([value, ...gradients]);
      dispose();
    }
    x.dispose();
  });
});
