import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  createAdamW,
  embedding,
  entropy,
  gelu,
  linear,
  logProbability,
  openBackend,
  randomStream,
  valueAndGradients,
} from '../index';
import { testBackends } from '../testing';
import { openDevice } from './dawn';
import { CheckedBackend } from './checked-backend';
import { plainKernels } from '../plain-kernels';
import { webgpuBackend } from './shader';
import { webgpuKernels } from './webgpu-kernels';

const isHere = testBackends.some(({ title }) => title.startsWith('webgpu'));

function random(shape: number[], seed: number): tf.Tensor {
  const { normal } = randomStream(seed, 'test');
  return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, normal), shape);
}

(isHere ? describe : describe.skip)('on WebGPU', () => {
  beforeAll(async () => {
    await openBackend('webgpu');
  });

  test('the gradient of an embedding has the same bits each time, also where ids repeat', async () => {
    const table = tf.variable(random([5, 64], 1) as tf.Tensor2D);
    const ids = Int32Array.from({ length: 600 }, (_, i) => (i * i) % 5);
    const weights = random([600, 64], 2);
    const runs: string[] = [];
    for (let run = 0; run < 4; run++) {
      const { value, gradients } = valueAndGradients(() => tf.sum(tf.mul(embedding(table, ids), weights)), [table]);
      runs.push(Buffer.from((await gradients[0]!.data()).buffer).toString('hex'));
      tf.dispose([value, ...gradients]);
    }
    expect(new Set(runs).size).toBe(1);
    tf.dispose([table, weights]);
  });

  test('AdamW in place leaves copies of the parameter as they were', async () => {
    const parameter = tf.variable(tf.ones([3]));
    const copy = parameter.clone();
    const optimizer = createAdamW([parameter]);
    // The first step is the learning rate in the direction of the gradient.
    optimizer.step([tf.tensor1d([1, -1, 1])], 0.5);
    expect(await parameter.data()).toBeAllclose([0.5, 1.5, 0.5]);
    expect(await copy.data()).toBeAllclose([1, 1, 1]);
    optimizer.step([tf.tensor1d([1, -1, 1])], 0.5);
    expect(await parameter.data()).toBeAllclose([0, 2, 0]);
    optimizer.dispose();
    tf.dispose([parameter, copy]);
  });

  test.each([1, 100, 129, 500, 1500])('rows of %i columns, whatever number of threads they take', async (width) => {
    const logits = random([3, width], 8) as tf.Tensor2D;
    const ids = Int32Array.of(0, width >> 1, width - 1);
    const [logs, entropies] = [logProbability(logits, ids), entropy(logits)];
    const values = await logits.data();
    const rows = [0, 1, 2].map((row) => {
      const x = [...values.slice(row * width, (row + 1) * width)];
      const logSum = Math.log(x.reduce((sum, value) => sum + Math.exp(value), 0));
      return { x, logSum, entropy: x.reduce((sum, v) => sum - Math.exp(v - logSum) * (v - logSum), 0) };
    });
    expect(await logs.data()).toBeAllclose(rows.map(({ x, logSum }, row) => x[ids[row]!]! - logSum));
    expect(await entropies.data()).toBeAllclose(rows.map(({ entropy }) => entropy));
    tf.dispose([logits, logs, entropies]);
  });

  test('GELU of large values is the value or 0, without overflow', async () => {
    const x = tf.tensor2d([[-1e4, -30, 0, 30, 1e4]]);
    const y = gelu(x);
    expect(await y.data()).toBeAllclose([0, 0, 0, 30, 1e4]);
    tf.dispose([x, y]);
  });

  test('plain operations give the same', async () => {
    const logits = random([9, 21], 3) as tf.Tensor2D;
    const ids = Int32Array.from({ length: 9 }, (_, i) => 2 * i);
    for (const compute of [
      ({ gelu }: typeof plainKernels) => gelu(logits),
      ({ entropy }: typeof plainKernels) => entropy(logits),
      ({ logProbability }: typeof plainKernels) => logProbability(logits, ids),
      ({ attention }: typeof plainKernels) =>
        attention(logits, 3, {
          heads: 1,
          keyHeads: 1,
          headWidth: logits.shape[1] / 3,
          scale: 1 / Math.sqrt(logits.shape[1] / 3),
        }),
    ]) {
      const [ours, plain] = [compute(webgpuKernels), compute(plainKernels)];
      expect(await ours.data()).toBeAllclose(await plain.data(), { atol: 1e-6 });
      tf.dispose([ours, plain]);
    }
    logits.dispose();
  });

  test('unused buffers are freed where they outgrow the ones in use', async () => {
    const { bufferManager } = webgpuBackend() as unknown as { bufferManager: { numBytesAllocated: number } };
    // Each of 20 sizes of about 32 MiB is used once: 640 MiB if all were kept.
    for (let i = 0; i < 20; i++) {
      const y = tf.ones([2 ** 23 + i]);
      const first = tf.slice(y, 0, 1);
      await first.data();
      first.dispose();
      y.dispose();
    }
    expect(bufferManager.numBytesAllocated).toBeLessThan(2 ** 28 + 2 ** 26);
  });
});

// 96 rows of 64 bytes fit in one buffer here, 100 do not.
const largest = 96 * 64;

(isHere ? describe : describe.skip)('on a device with small buffers', () => {
  beforeAll(async () => {
    await openBackend('webgpu');
    const opened = await openDevice();
    tf.registerBackend('webgpu-small', () => CheckedBackend.on(opened, largest));
    for (const kernel of tf.getKernelsForBackend('webgpu'))
      tf.registerKernel({ ...kernel, backendName: 'webgpu-small' });
    await tf.setBackend('webgpu-small');
  });

  const host = Float32Array.from({ length: 100 * 16 }, randomStream(4, 'test').normal);
  const table = () => tf.variable(tf.tensor2d(host, [100, 16]));

  test('rows of a table that does not fit in one are picked from the host', async () => {
    const large = table();
    const rows = embedding(large, Int32Array.of(99, 0, 50));
    const row = (id: number) => host.subarray(id * 16, (id + 1) * 16);
    expect(await rows.data()).toBeAllclose([...row(99), ...row(0), ...row(50)], { atol: 0, rtol: 0 });
    tf.dispose([rows, large]);
  });

  test('logits of a vocabulary whose table does not fit are computed in parts', async () => {
    const large = table();
    const [x, bias] = [random([3, 16], 5) as tf.Tensor2D, random([100], 6) as tf.Tensor1D];
    const logits = linear(x, large, { bias, transposeWeight: true });
    const [states, offsets] = [await x.data(), await bias.data()];
    const expected = Array.from({ length: 300 }, (_, i) => {
      const [row, id] = [Math.floor(i / 100), i % 100];
      return Array.from({ length: 16 }, (_, k) => states[row * 16 + k]! * host[id * 16 + k]!).reduce(
        (sum, product) => sum + product,
        offsets[id]!,
      );
    });
    expect(await logits.data()).toBeAllclose(expected, { atol: 1e-5 });
    tf.dispose([x, bias, logits, large]);
  });

  test('what cannot be divided is refused with the numbers', () => {
    const large = table();
    const x = random([30, 16], 7) as tf.Tensor2D;
    const tooLarge = { kind: 'resource_exhausted', message: expect.stringMatching(/ 11520 bytes .* 6144 at most/) };
    // A part has 96 outputs, 30 x 96 x 4 bytes.
    expect(() => tf.tidy(() => linear(x, large, { transposeWeight: true }))).toThrow(expect.objectContaining(tooLarge));
    const loss = () => tf.sum(linear(x, large, { transposeWeight: true })) as tf.Scalar;
    const notTrained = { kind: 'resource_exhausted', message: expect.stringContaining('6400 bytes') };
    expect(() => valueAndGradients(loss, [large])).toThrow(expect.objectContaining(notTrained));
    tf.dispose([x, large]);
  });
});
