import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openBackend } from './backend';
import type { Backend, KernelBuild } from './opened';
import { countLooseValues, watchValues } from './tensorflow/loose-values';
import { hasTensorflow } from './tensorflow/native-library';
import { inspectWebgpu } from './webgpu/inspect-webgpu';

type Numbers = ArrayLike<number> | tf.Tensor;

declare module 'expect' {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface Matchers<R extends void | Promise<void>, T> {
    /** Every element within `atol + rtol * |expected|`; tensors are compared by shape too. */
    toBeAllclose(expected: ArrayLike<number> | tf.Tensor, tolerance?: { atol?: number; rtol?: number }): R;
    /** The function, async or not, leaves as many tensors as there were, and on tensorflow as many values without a tensor. */
    toNotLeakTensors(): Promise<void>;
  }
}

expect.extend({
  toBeAllclose(received: Numbers, expected: Numbers, { atol = 1e-6, rtol = 1e-5 } = {}) {
    const problem = difference(received, expected, atol, rtol);
    return {
      pass: problem === undefined,
      message: () => problem ?? `all elements are within ${atol} + ${rtol} * |expected|`,
    };
  },

  async toNotLeakTensors(run: () => unknown) {
    const before = heldTensors();
    await run();
    const after = heldTensors();
    const leaked = after.tensors - before.tensors;
    const loose = after.looseValues - before.looseValues;
    return {
      pass: leaked === 0 && loose === 0,
      message: () => `${leaked} tensors more than before and ${loose} values of TensorFlow without a tensor`,
    };
  },
});

/** What is held on the open backend. */
export interface HeldTensors {
  tensors: number;
  bytes: number;
  buffers: number;
  /** Values and resources of native TensorFlow that no tensor of TensorFlow.js stands for. */
  looseValues: number;
}

/** Counts what is held now; on tensorflow also what `tf.memory()` does not see. */
export function heldTensors(): HeldTensors {
  const { numTensors, numBytes, numDataBuffers } = tf.memory();
  const looseValues = tf.getBackend() === 'tensorflow' ? countLooseValues() : 0;
  return { tensors: numTensors, bytes: numBytes, buffers: numDataBuffers, looseValues };
}

/** A backend with one of its kernel builds, for `describe.each(testBackends)('…, $title', …)`. */
export interface TestBackend {
  title: string;
  /** Whether a row has the same bits alone and in any batch; elsewhere a product is summed in an order chosen by its shape. */
  keepsBits: boolean;
  open(): Promise<Backend>;
}

/**
 * Every backend and kernel build of this machine; jest's global setup (scripts/jest-setup.ts) says loudly what is missing. All
 * numerical tests run on all of them.
 */
export const testBackends: TestBackend[] = [
  testBackend('cpu', 'plain'),
  ...(['plain', 'simd', 'relaxed-simd'] as const).map((build) => testBackend('wasm', build)),
  ...(hasTensorflow() ? [testBackend('tensorflow', 'tuned')] : []),
  ...(inspectWebgpu().problem === undefined ? [testBackend('webgpu', 'tuned')] : []),
];

/** The builds that a test of a whole loop runs on: one for each backend, and without the slow reference. */
export const fastTestBackends = testBackends.filter(({ title }) => !/plain|wasm simd/.test(title));

function testBackend(name: Backend['name'], kernelBuild: KernelBuild): TestBackend {
  const keepsBits = name === 'cpu' || /simd/.test(kernelBuild);
  const open = async () => {
    const backend = await openBackend(name, { kernelBuild });
    if (name === 'tensorflow') watchValues();
    return backend;
  };
  return { title: `${name} ${kernelBuild}`, keepsBits, open };
}

/** The path of a golden file beside the repository, or undefined, with a warning, where there is none: skip the test then. */
export function goldenPath(...parts: string[]): string | undefined {
  const path = join(__dirname, '..', '..', '..', '..', 'shared', 'goldens', ...parts);
  if (existsSync(path)) return path;
  console.warn(`SKIPPED: no golden file ${path}`);
  return undefined;
}

/** Writes a safetensors file anew with its values eight bytes later, off the multiples of 64 bytes that can be mapped. */
export async function shiftValues(path: string): Promise<void> {
  const file = await readFile(path);
  const bytes = Number(file.readBigUInt64LE());
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes + 8));
  const header = file.subarray(8, 8 + bytes);
  await writeFile(path, Buffer.concat([length, header, Buffer.alloc(8, ' '), file.subarray(8 + bytes)]));
}

function difference(received: Numbers, expected: Numbers, atol: number, rtol: number): string | undefined {
  if (received instanceof tf.Tensor && expected instanceof tf.Tensor && `${received.shape}` !== `${expected.shape}`)
    return `shape [${received.shape}], expected [${expected.shape}]`;
  const [got, want] = [numbers(received), numbers(expected)];
  if (got.length !== want.length) return `${got.length} elements, expected ${want.length}`;
  let wrong = 0;
  let worst = { excess: -1, index: 0 };
  for (let index = 0; index < want.length; index++) {
    const [a, b] = [got[index] as number, want[index] as number];
    if (Object.is(a, b) || a === b) continue;
    const excess = Math.abs(a - b) / (atol + rtol * Math.abs(b));
    if (excess <= 1) continue;
    wrong += 1;
    // A NaN is worse than any number.
    if (!(excess <= worst.excess)) worst = { excess, index };
  }
  if (wrong === 0) return undefined;
  const at = worst.index;
  return `${wrong} of ${want.length} elements differ; worst at ${at}: ${got[at]}, expected ${want[at]}`;
}

function numbers(values: Numbers): ArrayLike<number> {
  return values instanceof tf.Tensor ? values.dataSync() : values;
}
