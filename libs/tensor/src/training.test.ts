import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { clipByGlobalNorm, createAdamW, openBackend, valueAndGradients } from './index';
import { createTestDecoder, randomIds } from './test-decoder';
import { testBackends, type TestBackend } from './testing';

const vocabulary = 100;
const ids = randomIds(64 * 18, vocabulary, 1);
const targets = randomIds(64 * 18, vocabulary, 2);

/** Twenty steps of training from fixed weights: the SHA-256 of the weights, and the losses. */
async function train({ open }: Pick<TestBackend, 'open'>, { batch = 64, width = 48 } = {}) {
  await open();
  const decoder = createTestDecoder({ vocabulary, positions: 32, width, layers: 2, heads: 2 });
  const optimizer = createAdamW(decoder.parameters, { weightDecay: 0.01 });
  const losses: number[] = [];
  const count = (ids.length / 64) * batch;
  for (let step = 0; step < 20; step++) {
    const loss = () => decoder.loss(ids.subarray(0, count), targets.subarray(0, count), batch);
    const { value, gradients } = valueAndGradients(loss, decoder.parameters);
    const { gradients: clipped } = await clipByGlobalNorm(gradients, 1);
    optimizer.step(clipped, 1e-3);
    losses.push((await value.data())[0] as number);
    tf.dispose([value, clipped]);
  }
  const hash = createHash('sha256');
  for (const parameter of decoder.parameters) hash.update(new Uint8Array((await parameter.data()).slice().buffer));
  optimizer.dispose();
  tf.dispose(decoder.parameters);
  return { hash: hash.digest('hex'), losses };
}

const wasm = (kernelBuild: 'simd' | 'relaxed-simd') => ({ open: () => openBackend('wasm', { kernelBuild }) });

describe('twenty training steps', () => {
  test('simd: the weights have the same bits on every machine and Node', async () => {
    const { hash } = await train(wasm('simd'));
    expect(hash).toBe('113a226f0362b5542703a2c226231cbb06d39627f1991951a011cd4335f14391');
  });

  test('relaxed-simd: the weights have the same bits every time on one machine, also after the heap has grown', async () => {
    const { hash } = await train(wasm('relaxed-simd'));
    const large = tf.zeros([64 * 1024 * 1024]);
    expect((await train(wasm('relaxed-simd'))).hash).toBe(hash);
    large.dispose();
  });
});

const small = { batch: 2, width: 16 };
/** Of a graphics card in software on a busy machine. */
const timeLimit = 120_000;

describe.each(testBackends)('twenty training steps of a small model, $title', (backend) => {
  test(
    'give the same bytes twice, the losses of the reference to 1e-4, and leave no tensors behind',
    async () => {
      const { losses } = await referenceRun();
      await expect(async () => {
        const first = await train(backend, small);
        expect((await train(backend, small)).hash).toBe(first.hash);
        expect(first.losses).toBeAllclose(losses, { atol: 1e-4, rtol: 0 });
      }).toNotLeakTensors();
      expect(losses.at(-1)).toBeLessThan(losses[0] as number);
    },
    timeLimit,
  );
});

let run: ReturnType<typeof train> | undefined;

/** On the cpu backend, once. */
function referenceRun(): ReturnType<typeof train> {
  return (run ??= train({ open: () => openBackend('cpu') }, small));
}
