import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { currentBackend, openBackend } from '../index';
import { testBackends } from '../testing';
import { inspectWebgpu } from './inspect-webgpu';
import { webgpuBackend } from './shader';

const isHere = testBackends.some(({ title }) => title.startsWith('webgpu'));

// What a program that uses WebGPU does: opens it, computes, reads, and ends by itself. It runs the built package.
const index = require.resolve('../../dist/index.js');
const program = `
  const { openBackend } = require(${JSON.stringify(index)});
  const tf = require(${JSON.stringify(require.resolve('@tensorflow/tfjs'))});
  const done = openBackend('webgpu').then(async ({ name }) => {
    const y = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2]));
    return name + ' ' + (await y.data()).join();
  });`;
const runProgram = (env = process.env) =>
  spawnSync(process.execPath, ['-e', `${program} done.then(console.log)`], { encoding: 'utf8', env, timeout: 60_000 });

(isHere ? describe : describe.skip)('openBackend webgpu', () => {
  beforeAll(async () => {
    await openBackend('webgpu');
  });

  test('says what it computes on', () => {
    const { name, kernelBuild, version, device, isGpu, memoryBytes, reason } = currentBackend();
    expect({ name, kernelBuild, version }).toEqual({ name: 'webgpu', kernelBuild: 'tuned', version: '0.6.2' });
    expect(device).not.toBe('');
    expect(memoryBytes).toBeGreaterThan(2 ** 27);
    expect(reason).toContain(device);
    // SwiftShader computes on the CPU, and the reason says so.
    if (/swiftshader/i.test(device)) expect(isGpu).toBe(false);
    expect(/in software/.test(reason)).toBe(!isGpu);
  });

  test('a software adapter does not count as a GPU', async () => {
    if (currentBackend().isGpu) return;
    await expect(openBackend('webgpu', { requireGpu: true })).rejects.toMatchObject({ kind: 'failed_precondition' });
  });

  test('kernels of another backend are refused', async () => {
    await expect(openBackend('webgpu', { kernelBuild: 'simd' })).rejects.toMatchObject({ kind: 'failed_precondition' });
  });

  test('a synchronous read is refused with what to do instead', () => {
    const y = tf.tidy(() => tf.add(tf.ones([2]), tf.ones([2])));
    expect(() => y.dataSync()).toThrow('await tensor.data()');
    y.dispose();
  });

  test('nothing of it stays in navigator', () => {
    expect((globalThis as { navigator?: { gpu?: object } }).navigator?.gpu).toBeUndefined();
  });

  test('what a device reports is thrown by the next read, and by that alone', async () => {
    const { device } = webgpuBackend();
    const x = tf.tensor1d([1, 2]);
    const y = tf.square(x);
    for (const [type, kind] of [
      ['GPUOutOfMemoryError', 'resource_exhausted'],
      ['GPUValidationError', 'unavailable'],
    ] as const) {
      const error = new {
        [type]: class {
          message = 'no more';
        },
      }[type]!();
      device.onuncapturederror?.({ error } as unknown as GPUUncapturedErrorEvent);
      const again = tf.square(x);
      await expect(again.data()).rejects.toMatchObject({ kind, message: 'WebGPU: no more' });
      again.dispose();
    }
    expect([...(await y.data())]).toEqual([1, 4]);
    tf.dispose([x, y]);
  });

  test('runs in a process of its own, which ends by itself', () => {
    const { status, signal, stdout } = runProgram();
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: 'webgpu 19,22,43,50\n' });
  });

  test('runs in two worker threads at once beside this one', async () => {
    const code = `${program} done.then((text) => require('node:worker_threads').parentPort.postMessage(text))`;
    const results = await Promise.all(
      [0, 1].map(async () => {
        const worker = new Worker(code, { eval: true });
        // Both at once: a worker may end in the same turn in which its message comes.
        const [message, status] = await Promise.all([
          new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
          new Promise((resolve) => worker.once('exit', resolve)),
        ]);
        return { message, status };
      }),
    );
    expect(results).toEqual(new Array(2).fill({ message: 'webgpu 19,22,43,50', status: 0 }));
    const here = tf.tidy(() => tf.add(tf.ones([1]), tf.ones([1])));
    expect([...(await here.data())]).toEqual([2]);
    here.dispose();
  });

  test('after a lost device another is opened; tensors of the old one are gone', async () => {
    const { device } = webgpuBackend();
    const lost = tf.square(tf.tensor1d([1, 2]));
    device.destroy();
    const gone = { kind: 'unavailable', message: expect.stringContaining("openBackend('webgpu') opens a new device") };
    await expect(lost.data()).rejects.toMatchObject(gone);
    await expect(lost.data()).rejects.toMatchObject(gone);
    await openBackend('webgpu');
    const y = tf.square(tf.tensor1d([1, 2]));
    expect([...(await y.data())]).toEqual([1, 4]);
    await expect(lost.data()).rejects.toMatchObject(gone);
    expect(() => tf.square(lost)).toThrow(expect.objectContaining(gone));
    tf.dispose([lost, y]);
  });

  test('without a driver that offers an adapter it is refused, saying what to install or set', () => {
    const env = { ...process.env, VK_DRIVER_FILES: __filename, VK_ICD_FILENAMES: __filename };
    const { stderr, status } = runProgram(env);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/failed_precondition|no driver offers an adapter/);
    expect(stderr).toContain('VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json');
  });
});

describe('what WebGPU needs', () => {
  const { env } = process;
  const [before, others] = [env['VK_ICD_FILENAMES'], env['VK_DRIVER_FILES']];
  afterEach(() => {
    for (const [name, value] of Object.entries({ VK_ICD_FILENAMES: before, VK_DRIVER_FILES: others }))
      if (value === undefined) delete env[name];
      else env[name] = value;
  });

  test('is told with the cure where something is missing', () => {
    env['VK_ICD_FILENAMES'] = env['VK_DRIVER_FILES'] = '/nowhere.json';
    const { problem, cure } = inspectWebgpu();
    if (problem === undefined) return;
    expect(cure).toMatch(/npm ci|apt-get install|VK_ICD_FILENAMES=/);
  });
});
