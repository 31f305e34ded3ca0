import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { createAdamW } from './index';
import { goldenPath, testBackends } from './testing';

interface Matrix {
  shape: [number, number];
  data: number[];
}
interface Golden {
  start: Matrix;
  gradients: Matrix;
  runs: { mode: string; eps: number; weight_decay: number; lr: number; betas: [number, number]; parameters: Matrix }[];
}

describe.each(testBackends)('AdamW, $title', ({ open }) => {
  beforeEach(() => open());

  const path = goldenPath('golden', 'ppo', 'adamw.json');
  (path ? test : test.skip)('follows PyTorch 2.15 and the TensorFlow formula over four steps', async () => {
    const golden = JSON.parse(readFileSync(path as string, 'utf8')) as Golden;
    const [steps, size] = golden.gradients.shape;
    for (const { mode, eps, weight_decay: weightDecay, lr, betas, parameters } of golden.runs) {
      const parameter = tf.variable(tf.tensor1d(golden.start.data));
      const epsilonMode = mode === 'torch' ? 'outside' : 'inside';
      const [beta1, beta2] = betas;
      const optimizer = createAdamW([parameter], { beta1, beta2, epsilon: eps, epsilonMode, weightDecay });
      for (let step = 0; step < steps; step++) {
        const row = (matrix: Matrix) => matrix.data.slice(step * size, (step + 1) * size);
        const gradient = tf.tensor1d(row(golden.gradients));
        optimizer.step([gradient], lr);
        expect(await parameter.data()).toBeAllclose(row(parameters), { atol: 3e-7, rtol: 2e-7 });
        gradient.dispose();
      }
      expect(optimizer.steps).toBe(steps);
      optimizer.dispose();
      parameter.dispose();
    }
  });

  test('a restored optimiser goes on with the same bits', async () => {
    const gradients = [0.3, -2, 0.01, 4, 1, -1, 0.5].map((scale, i) => tf.tensor1d([scale, -scale, i, 1, 0.1]));
    const start = [1, 2, 3, 4, 5];
    const whole = tf.variable(tf.tensor1d(start));
    const parts = tf.variable(tf.tensor1d(start));
    const one = createAdamW([whole], { weightDecay: 0.1 });
    const first = createAdamW([parts], { weightDecay: 0.1 });
    for (const gradient of gradients) one.step([gradient], 0.01);
    for (const gradient of gradients.slice(0, 3)) first.step([gradient], 0.01);
    const { steps, first: m, second: v } = first.state();
    const copy = (tensors: tf.Tensor[]) =>
      Promise.all(tensors.map(async (tensor) => (await tensor.data()).slice() as Float32Array));
    const second = createAdamW([parts], { weightDecay: 0.1 });
    second.restore({ steps, first: await copy(m), second: await copy(v) });
    for (const gradient of gradients.slice(3)) second.step([gradient], 0.01);
    expect(await parts.data()).toEqual(await whole.data());
    [one, first, second].forEach((optimizer) => optimizer.dispose());
    tf.dispose([whole, parts, ...gradients]);
  });

  test('refuses gradients and moments of other parameters, and numbers out of range', async () => {
    const parameter = tf.variable(tf.tensor1d([1, 2]));
    const optimizer = createAdamW([parameter]);
    const invalid = (message: string) =>
      expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) });
    const gradient = tf.tensor1d([1, 2]);
    const wrong = tf.tensor1d([1, 2, 3]);
    expect(() => optimizer.step([], 0.1)).toThrow(invalid('0 gradients for 1 parameters'));
    expect(() => optimizer.step([wrong], 0.1)).toThrow(invalid('gradient 0 is float32 [3], needs float32 [2]'));
    expect(() => optimizer.step([gradient], NaN)).toThrow(invalid('learning rate is NaN'));
    const moments = { first: [new Float32Array(2)], second: [new Float32Array(3)] };
    expect(() => optimizer.restore({ steps: 1, ...moments })).toThrow(invalid('not those of these parameters'));
    expect(() => optimizer.restore({ steps: -1, first: [], second: [] })).toThrow(invalid('steps is -1'));
    expect(() => createAdamW([], { beta1: 1 })).toThrow(invalid('beta1 is 1'));
    expect(() => createAdamW([], { epsilon: 0 })).toThrow(invalid('epsilon is 0'));
    expect(() => createAdamW([], { weightDecay: -1 })).toThrow(invalid('weightDecay is -1'));
    expect(optimizer.steps).toBe(0);
    expect(await parameter.data()).toBeAllclose([1, 2]);
    optimizer.dispose();
    tf.dispose([parameter, gradient, wrong]);
  });

  test('whoever shares the old values of a parameter keeps them, and values put in its place are taken up', async () => {
    const parameter = tf.variable(tf.tensor1d([1, 2]));
    const gradient = tf.tensor1d([3, -4]);
    const optimizer = createAdamW([parameter]);
    const shared = parameter.clone();
    // The first step of AdamW moves each element by the rate, against the sign of its gradient.
    optimizer.step([gradient], 0.5);
    expect(await shared.data()).toBeAllclose([1, 2]);
    expect(await parameter.data()).toBeAllclose([0.5, 2.5]);
    optimizer.restore({ steps: 0, first: [new Float32Array(2)], second: [new Float32Array(2)] });
    tf.tidy(() => parameter.assign(tf.tensor1d([10, 20])));
    optimizer.step([gradient], 0.5);
    expect(await parameter.data()).toBeAllclose([9.5, 20.5]);
    expect(await gradient.data()).toBeAllclose([3, -4]);
    optimizer.dispose();
    tf.dispose([parameter, gradient, shared]);
  });

  test('leaves no tensors behind', async () => {
    await expect(() => {
      const parameter = tf.tidy(() => tf.variable(tf.tensor2d([[1, 2, 3]])));
      const optimizer = createAdamW([parameter]);
      const gradient = tf.ones([1, 3]);
      optimizer.step([gradient], 0.1);
      optimizer.restore({ steps: 1, first: [new Float32Array(3)], second: [new Float32Array(3)] });
      optimizer.state();
      optimizer.step([gradient], 0.1);
      optimizer.state();
      optimizer.dispose();
      tf.dispose([parameter, gradient]);
    }).toNotLeakTensors();
  });
});
