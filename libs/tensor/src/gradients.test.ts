import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { clipByGlobalNorm, gelu, valueAndGradients } from './index';
import { testBackends } from './testing';

describe.each(testBackends)('gradients, $title', ({ title, open }) => {
  beforeEach(() => open());

  test('value and gradients of x^2 y at (3, 2) are 18, 12 and 9', async () => {
    const [x, y] = [tf.variable(tf.scalar(3)), tf.variable(tf.scalar(2))];
    const { value, gradients } = valueAndGradients(() => tf.mul(tf.square(x), y) as tf.Scalar, [x, y]);
    expect(await value.data()).toBeAllclose([18]);
    expect(await Promise.all(gradients.map(async (gradient) => (await gradient.data())[0]))).toEqual([12, 9]);
    tf.dispose([x, y, value, gradients]);
  });

  test('a parameter that the loss does not use is named', async () => {
    const [x, y] = [tf.variable(tf.scalar(3)), tf.variable(tf.scalar(2), true, `unused ${title}`)];
    await expect(() => {
      const loss = () => tf.square(x) as tf.Scalar;
      expect(() => valueAndGradients(loss, [x, y])).toThrow(
        expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining('unused') }),
      );
    }).toNotLeakTensors();
    tf.dispose([x, y]);
  });

  test('a loss that fails leaves no tensors behind, and the next one works', async () => {
    const w = tf.variable(tf.tensor2d([[2]]));
    const failing = () => {
      gelu(gelu(w));
      throw new Error('stop');
    };
    await expect(() => expect(() => valueAndGradients(failing, [w])).toThrow('stop')).toNotLeakTensors();
    const { value, gradients } = valueAndGradients(() => tf.sum(tf.square(w)) as tf.Scalar, [w]);
    expect(await gradients[0]!.data()).toBeAllclose([4]);
    tf.dispose([w, value, gradients]);
    expect(() => gelu(w)).toThrow('gelu: x is disposed');
  });

  test('clipping (3, 4) and 12, of norm 13, to 6.5 halves them', async () => {
    const given = [tf.tensor1d([3, 4]), tf.scalar(12)];
    const { gradients, norm } = await clipByGlobalNorm(given, 6.5);
    expect(norm).toBe(13);
    expect(await Promise.all(gradients.map(async (gradient) => [...(await gradient.data())]))).toEqual([[1.5, 2], [6]]);
    expect(given.every((gradient) => gradient.isDisposed)).toBe(true);
    tf.dispose(gradients);
  });

  test.each([0, 13, 20, Infinity])('a norm of 13 is not clipped to %p', async (maxNorm) => {
    const given = [tf.tensor1d([3, 4]), tf.scalar(12)];
    const { gradients, norm } = await clipByGlobalNorm(given, maxNorm);
    expect([norm, gradients]).toEqual([13, given]);
    tf.dispose(gradients);
  });

  test.each([NaN, Infinity])('%p shows in the norm', async (bad) => {
    const { gradients, norm } = await clipByGlobalNorm([tf.tensor1d([1, bad, 1, 1, 1])], 1);
    expect(norm).toBe(bad);
    tf.dispose(gradients);
  });

  test('the norm of many small numbers keeps its digits', async () => {
    // 1,000,003 squares of 0.001 (as float32) and one of 100: float32 sums would lose the small ones.
    const small = tf.fill([1_000_003], 0.001);
    const { gradients, norm } = await clipByGlobalNorm([tf.scalar(100), small], 0);
    expect(norm ** 2).toBeCloseTo(10_000 + 1_000_003 * Math.fround(0.001) ** 2, 5);
    tf.dispose(gradients);
  });

  test.each([-1, NaN])('maxNorm %p is refused', async (maxNorm) => {
    await expect(clipByGlobalNorm([], maxNorm)).rejects.toMatchObject({ kind: 'invalid_argument' });
  });
});
