import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { currentBackend, gelu, openBackend, type Backend, type BackendName, type KernelBuild } from './index';
import './testing';

describe('openBackend', () => {
  test('before it there is no backend', () => {
    expect(() => currentBackend()).toThrow(expect.objectContaining({ kind: 'failed_precondition' }));
  });

  test('auto is wasm with the fastest kernels', async () => {
    const backend = await openBackend();
    expect(backend).toMatchObject({ name: 'wasm', kernelBuild: 'relaxed-simd' });
    expect(backend.reason).toBe(
      'auto: wasm needs nothing installed and is the only backend of this build; relaxed-simd kernels are the fastest that run here',
    );
    expect(currentBackend()).toBe(backend);
  });

  test.each(['plain', 'simd', 'relaxed-simd'] as KernelBuild[])('%s can be insisted on', async (kernelBuild) => {
    expect(await openBackend('wasm', { kernelBuild })).toMatchObject({ name: 'wasm', kernelBuild });
  });

  test.each([
    ['tensorflow', undefined],
    ['webgpu', undefined],
    ['cpu', 'simd'],
  ] as [BackendName, KernelBuild | undefined][])(
    '%s %s is refused, and the open backend stays',
    async (name, kernelBuild) => {
      const open = await openBackend('wasm');
      await expect(openBackend(name, kernelBuild && { kernelBuild })).rejects.toMatchObject({
        kind: 'failed_precondition',
      });
      expect(currentBackend()).toBe(open);
    },
  );

  test('tensors survive a change of backend', async () => {
    await openBackend('wasm');
    const x = tf.tensor2d([[1]]);
    await openBackend('cpu');
    const onCpu = gelu(x);
    await openBackend('wasm');
    const onWasm = gelu(onCpu);
    expect(onCpu).toBeAllclose([0.841192]);
    expect(onWasm).toBeAllclose([0.672755]);
    tf.dispose([x, onCpu, onWasm]);
  });

  test.each(['_malloc', 'asm'])(
    'without the backend’s %s it falls back to plain operations and says why',
    async (internal) => {
      await openBackend('wasm');
      const internals = (tf.backend() as unknown as { wasm: Record<string, unknown> }).wasm;
      const whole = internals[internal];
      try {
        // What a release with other internals would look like; its own operations do not look these up by name here.
        Object.defineProperty(internals, internal, { value: undefined, configurable: true });
        const backend = await openBackend('wasm').finally(() =>
          Object.defineProperty(internals, internal, { value: whole, configurable: true, writable: true }),
        );
        expect(backend.kernelBuild).toBe('plain');
        expect(backend.reason).toMatch(
          /plain operations.*because the wasm backend does not show its (allocator|memory)/,
        );
        const y = gelu(tf.tensor2d([[1]]));
        expect(y).toBeAllclose([0.841192]);
      } finally {
        Object.defineProperty(internals, internal, { value: whole, configurable: true, writable: true });
      }
    },
  );
});

const built = join(__dirname, '..', 'dist', 'index.js');
// Workers run the built package, which the test target builds first.
(existsSync(built) ? test : test.skip)(
  'worker threads have heaps of their own and compute the same bits at once',
  async () => {
    const script = `
    const { parentPort } = require('node:worker_threads');
    const { openBackend, linear, gelu } = require(${JSON.stringify(built)});
    const tf = require('@tensorflow/tfjs');
    openBackend('wasm').then(async (backend) => {
      let x = tf.tensor2d(Float32Array.from({ length: 64 * 48 }, (_, i) => Math.fround(((i * 37) % 101) / 101 - 0.5)), [64, 48]);
      const weight = tf.tensor2d(Float32Array.from({ length: 48 * 48 }, (_, i) => ((i * 53) % 97) / 97 - 0.5), [48, 48]);
      for (let i = 0; i < 50; i++) x = tf.tidy(() => tf.mul(gelu(linear(x, weight)), 1));
      parentPort.postMessage({ backend, values: await x.data() });
    });`;
    const workers = Array.from({ length: 3 }, () => new Worker(script, { eval: true }));
    try {
      const results = await Promise.all(
        workers.map(
          (worker) =>
            new Promise<{ backend: Backend; values: Float32Array }>((resolve, reject) => {
              worker.once('message', resolve);
              worker.once('error', reject);
            }),
        ),
      );
      const [first, ...others] = results as [(typeof results)[number], ...typeof results];
      expect(first.backend.kernelBuild).toBe('relaxed-simd');
      expect(first.values.every(Number.isFinite)).toBe(true);
      for (const other of others) expect(other).toEqual(first);
    } finally {
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
  },
);
