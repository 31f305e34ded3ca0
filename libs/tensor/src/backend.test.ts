import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  backendIdentity,
  currentBackend,
  gelu,
  inspectMachine,
  openBackend,
  planAuto,
  type Backend,
  type BackendName,
  type BackendOptions,
  type KernelBuild,
} from './index';
import './testing';

describe('openBackend', () => {
  test('before it there is no backend', () => {
    expect(() => currentBackend()).toThrow(expect.objectContaining({ kind: 'failed_precondition' }));
  });

  test('auto is wasm with the fastest kernels, where no model is known', async () => {
    const backend = await openBackend();
    expect(backend).toMatchObject({ name: 'wasm', kernelBuild: 'relaxed-simd' });
    expect(backend.reason).toBe(
      'auto: relaxed-simd kernels are the fastest that run here; not tensorflow: gains from 0.3 M parameters, and the model is not known yet; not webgpu: gains from 1 M parameters, and the model is not known yet',
    );
    expect(currentBackend()).toBe(backend);
  });

  test('auto is what this machine is planned to compute a large model with', async () => {
    const { name, reason } = await openBackend('auto', { parameters: 1e9 });
    const { attempts } = planAuto(inspectMachine(), { parameters: 1e9 });
    expect(attempts.map((attempt) => attempt.name)).toContain(name);
    for (const other of ['tensorflow', 'webgpu', 'wasm'])
      if (other !== name) expect(reason).toContain(`not ${other}: `);
    await openBackend('wasm');
  });

  test.each(['plain', 'simd', 'relaxed-simd'] as KernelBuild[])('%s can be insisted on', async (kernelBuild) => {
    expect(await openBackend('wasm', { kernelBuild })).toMatchObject({ name: 'wasm', kernelBuild });
  });

  test.each([
    ['cpu', { kernelBuild: 'simd' }, 'has no simd kernels'],
    ['wasm', { requireGpu: true }, 'a GPU is required, and wasm computes on the CPU'],
    ['cpu', { requireGpu: true }, 'a GPU is required, and cpu computes on the CPU'],
  ] as [BackendName, BackendOptions, string][])(
    '%s %j is refused, and the open backend stays',
    async (name, options, message) => {
      const open = await openBackend('wasm');
      await expect(openBackend(name, options)).rejects.toMatchObject({
        kind: 'failed_precondition',
        message: expect.stringContaining(message),
      });
      expect(currentBackend()).toBe(open);
      expect(tf.getBackend()).toBe('wasm');
    },
  );

  test('an identity names what decides the last bits, and nothing else', () => {
    const machine = { version: '2.21.0', device: 'CPU', isGpu: false, threads: 2, memoryBytes: 1, reason: '' };
    expect(backendIdentity({ ...machine, name: 'wasm', kernelBuild: 'simd' })).toBe('wasm simd');
    const tensorflow = { ...machine, name: 'tensorflow', kernelBuild: 'tuned' } as const;
    expect(backendIdentity(tensorflow)).toBe('tensorflow tuned 2.21.0 CPU 2 threads');
    expect(backendIdentity({ ...tensorflow, bfloat16: 'native' })).toBe(
      'tensorflow tuned 2.21.0 CPU 2 threads native BF16',
    );
    expect(backendIdentity({ ...tensorflow, device: 'NVIDIA H100', isGpu: true })).toBe(
      'tensorflow tuned 2.21.0 NVIDIA H100',
    );
  });

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
