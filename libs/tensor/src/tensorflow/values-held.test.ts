import { afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { currentKernels } from '../backend';
import { createAdamW, gelu } from '../index';
import { heldTensors, testBackends } from '../testing';
import { nativeBackend } from './raw-ops';
import { resourceMoments } from './resource-moments';

type Binding = ReturnType<typeof nativeBackend>['binding'];

const backend = testBackends.find(({ title }) => title.startsWith('tensorflow'));

/** Its own functions cannot be written over. */
function replaceInBinding(functions: Partial<Binding>): void {
  const { binding } = nativeBackend();
  const replaced = Object.fromEntries(Object.entries(functions).map(([name, value]) => [name, { value }]));
  jest.replaceProperty(nativeBackend(), 'binding', Object.create(binding, replaced) as Binding);
}

(backend ? describe : describe.skip)('values that native TensorFlow holds', () => {
  beforeAll(async () => {
    await backend?.open();
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  test('toNotLeakTensors counts those that have no tensor, and not those of tensors that are first used meanwhile', async () => {
    const x = tf.ones([2, 3]) as tf.Tensor2D;
    const late = tf.tensor2d([[1, 2]]);
    gelu(x).dispose();
    await expect(() => tf.dispose([gelu(x), tf.square(late)])).toNotLeakTensors();
    replaceInBinding({ deleteTensor: () => {} });
    await expect(expect(() => gelu(x).dispose()).toNotLeakTensors()).rejects.toThrow(/[1-9]\d* values of TensorFlow/);
    jest.restoreAllMocks();
    tf.dispose([x, late]);
  });

  test('of GELU never more than two results are alive, and three constants', () => {
    const x = tf.ones([2, 3]) as tf.Tensor2D;
    gelu(x).dispose();
    const before = heldTensors().looseValues;
    const { executeOp } = nativeBackend().binding;
    let most = 0;
    replaceInBinding({
      executeOp: (...operation) => {
        const results = executeOp(...operation);
        most = Math.max(most, heldTensors().looseValues - before);
        return results;
      },
    });
    gelu(x).dispose();
    // Of results the operation's input and output.
    expect(most).toBe(2 + 3);
    x.dispose();
  });

  test('moments can be disposed twice, and leave no resources', async () => {
    const parameter = tf.variable(tf.ones([2]));
    await expect(() => {
      const optimizer = createAdamW([parameter]);
      optimizer.dispose();
      optimizer.dispose();
    }).toNotLeakTensors();
    parameter.dispose();
  });

  test('moments for which there is no room leave nothing behind', async () => {
    const parameter = tf.variable(tf.ones([2]));
    const endless = { shape: [2 ** 52] } as tf.Variable;
    await expect(() => expect(() => resourceMoments([parameter, endless])).toThrow()).toNotLeakTensors();
    parameter.dispose();
  });

  test('a beta that is 1 in float32 is refused, and the parameters stay', async () => {
    const parameter = tf.variable(tf.tensor1d([1, 2]));
    const gradient = tf.tensor1d([3, 4]);
    for (const name of ['beta1', 'beta2']) {
      const optimizer = createAdamW([parameter], { [name]: 1 - 1e-8 });
      const message = `${name} is 0.99999999, which is 1 in the float32 of backend tensorflow: use 0.9999999 or less`;
      expect(() => optimizer.step([gradient], 0.1)).toThrow(
        expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) }),
      );
      optimizer.dispose();
    }
    expect(await parameter.data()).toBeAllclose([1, 2]);
    const optimizer = createAdamW([parameter], { beta2: 0.9999999 });
    optimizer.step([gradient], 0.1);
    expect(await parameter.data()).toBeAllclose([0.9, 1.9]);
    optimizer.dispose();
    tf.dispose([parameter, gradient]);
  });
});

const readers = testBackends.filter(({ title }) => /tensorflow|webgpu/.test(title));
(readers.length > 0 ? describe : describe.skip)('a sum of squares that cannot be read', () => {
  test('leaves no tensor', async () => {
    for (const { open } of readers) {
      await open();
      const x = tf.ones([3]);
      await x.data();
      const { sumOfSquares } = currentKernels();
      await sumOfSquares([x]);
      jest.spyOn(tf.Tensor.prototype, 'data').mockRejectedValueOnce(new Error('lost'));
      await expect(() => expect(sumOfSquares([x])).rejects.toThrow('lost')).toNotLeakTensors();
      jest.restoreAllMocks();
      x.dispose();
    }
  });
});
