import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  attention,
  cachedAttention,
  createKeyValueCache,
  entropy,
  growKeyValueCache,
  linear,
  logProbability,
  openBackend,
  rmsNorm,
  rotaryAngles,
  rotate,
  silu,
} from './index';
import { createTestDecoder, randomFloats, randomIds } from './test-decoder';

const batches = [1, 3, 5, 13, 64];

/** How many of the floats differ in their bits. */
function differing(a: Float32Array, b: Float32Array): number {
  const [x, y] = [a, b].map((floats) => new Uint32Array(Float32Array.from(floats).buffer)) as [
    Uint32Array,
    Uint32Array,
  ];
  return x.reduce((count, bits, i) => count + Number(bits !== y[i]), Math.abs(x.length - y.length));
}

/** Sequences `rows` of ids [B, length], padded on the right to `padded`. */
function pad(ids: Int32Array, length: number, padded: number): Int32Array {
  const batch = ids.length / length;
  const out = new Int32Array(batch * padded).fill(1);
  for (let b = 0; b < batch; b++) out.set(ids.subarray(b * length, (b + 1) * length), b * padded);
  return out;
}

describe.each(['simd', 'relaxed-simd'] as const)('%s: a row has the same bits', (kernelBuild) => {
  beforeEach(() => openBackend('wasm', { kernelBuild }));

  // Edge tiles of all kinds: columns that are no multiple of 8, depths over one block, and rows that end anywhere in a tile.
  test.each([
    [48, 192],
    [128, 100],
    [300, 50],
    [600, 7],
    [33, 515],
  ])('in linear from %i to %i, in every batch and place', (inputs, outputs) => {
    const [weights, biases] = [randomFloats(inputs * outputs, 1), randomFloats(outputs, 2)];
    const [x, residuals] = [randomFloats(64 * inputs, 3), randomFloats(64 * outputs, 4)];
    const run = (from: number, rows: number, withResidual: boolean) =>
      tf.tidy(() => {
        const bias = tf.tensor1d(biases);
        const slice = (values: Float32Array, width: number) =>
          tf.tensor2d(values.slice(from * width, (from + rows) * width), [rows, width]);
        const residual = withResidual ? slice(residuals, outputs) : undefined;
        const weight = tf.tensor2d(weights, [inputs, outputs]);
        return linear(slice(x, inputs), weight, { bias, ...(residual && { residual }) }).dataSync() as Float32Array;
      });
    for (const withResidual of [false, true]) {
      const all = run(0, 64, withResidual);
      for (const rows of batches)
        for (const from of [0, 64 - rows]) {
          const expected = all.slice(from * outputs, (from + rows) * outputs);
          expect(differing(run(from, rows, withResidual), expected)).toBe(0);
        }
    }
  });

  test.each([
    [32, 2, 2],
    [48, 2, 2],
    [64, 2, 4],
    [128, 4, 4],
  ])('through a decoder %i wide, alone and in batches, and under padding', (width, layers, heads) => {
    const [vocabulary, length] = [100, 18];
    const decoder = createTestDecoder({ vocabulary, positions: 64, width, layers, heads });
    const ids = randomIds(64 * length, vocabulary, 5);
    const states = (from: number, rows: number, padded: number) =>
      tf.tidy(() => {
        const some = pad(ids.slice(from * length, (from + rows) * length), length, padded);
        const wide = decoder.hidden(some, rows).dataSync() as Float32Array;
        const real = new Float32Array(rows * length * width);
        for (let b = 0; b < rows; b++)
          real.set(wide.subarray(b * padded * width, (b * padded + length) * width), b * length * width);
        return real;
      });
    const all = states(0, 64, length);
    for (const padded of [18, 32, 50])
      for (const rows of batches)
        for (const from of rows === 1 ? [0, 7, 33] : [64 - rows]) {
          const expected = all.slice(from * length * width, (from + rows) * length * width);
          expect(differing(states(from, rows, padded), expected)).toBe(0);
        }
    tf.dispose(decoder.parameters);
  });

  test('in attention over more than one block of depth', () => {
    const [length, width] = [300, 24];
    const values = randomFloats(length * 3 * width, 1);
    const run = (padded: number) =>
      tf.tidy(() => {
        const rows = new Float32Array(padded * 3 * width).fill(0.5);
        rows.set(values);
        const y = attention(tf.tensor2d(rows, [padded, 3 * width]), { batch: 1, heads: 2 });
        return y.dataSync().slice(0, length * width) as Float32Array;
      });
    expect(differing(run(310), run(300))).toBe(0);
    expect(differing(run(513), run(300))).toBe(0);
  });

  // One key head for three query heads; windows that begin within a block and before it; a cap.
  test.each([undefined, 5, 70])('in attention of shared heads under padding and in batches, window %s', (window) => {
    const [length, stride, options] = [90, 5 * 7, { heads: 3, keyHeads: 1, softCap: 2, window }];
    const values = randomFloats(length * stride, 1);
    const run = (padded: number, batch: number) =>
      tf.tidy(() => {
        const rows = new Float32Array(batch * padded * stride).fill(0.5);
        rows.set(values, (batch - 1) * padded * stride);
        const y = attention(tf.tensor2d(rows, [batch * padded, stride]), { batch, ...options });
        const from = (batch - 1) * padded * 21;
        return y.dataSync().slice(from, from + length * 21) as Float32Array;
      });
    const alone = run(length, 1);
    for (const padded of [90, 97, 300])
      for (const batch of [1, 3]) expect(differing(run(padded, batch), alone)).toBe(0);
  });

  test('in cached attention of shared heads, in every cache and batch', () => {
    const [stride, options] = [5 * 7, { heads: 3, keyHeads: 1, softCap: 2, window: 6 }];
    const values = randomFloats(12 * stride, 1);
    const run = (capacity: number, batch: number) => {
      const cache = createKeyValueCache(batch, capacity, 7);
      const outputs = Array.from({ length: 12 }, (_, position) =>
        tf.tidy(() => {
          if (position >= cache.capacity) growKeyValueCache(cache, cache.capacity + 4, { keyHeads: 1 });
          const rows = new Float32Array(batch * stride).fill(0.5);
          rows.set(values.subarray(position * stride, (position + 1) * stride), (batch - 1) * stride);
          const starts = new Int32Array(batch).fill(position);
          return cachedAttention(tf.tensor2d(rows, [batch, stride]), cache, starts, options)
            .dataSync()
            .slice(-21);
        }),
      );
      cache.dispose();
      return Float32Array.from(outputs.flatMap((output) => [...output]));
    };
    const alone = run(12, 1);
    for (const capacity of [3, 12, 50])
      for (const batch of [1, 4]) expect(differing(run(capacity, batch), alone)).toBe(0);
  });

  test.each([7, 48])('in RMS norm, SiLU and rotation of rows %i wide', (half) => {
    const values = randomFloats(64 * 2 * half, 1);
    const gains = randomFloats(2 * half, 2);
    const run = (from: number, rows: number) =>
      tf.tidy(() => {
        const x = tf.tensor2d(values.slice(from * 2 * half, (from + rows) * 2 * half), [rows, 2 * half]);
        const positions = Int32Array.from({ length: rows }, (_, i) => from + i);
        const angles = rotaryAngles(positions, Float32Array.from(gains.subarray(half), Math.abs));
        const normed = rmsNorm(x, tf.tensor1d(gains), { epsilon: 1e-6 });
        return rotate(silu(normed), angles, { rotated: 1 }).dataSync() as Float32Array;
      });
    const all = run(0, 64);
    for (const rows of batches)
      for (const from of [0, 64 - rows])
        expect(differing(run(from, rows), all.slice(from * 2 * half, (from + rows) * 2 * half))).toBe(0);
  });

  test('in log-probability and entropy of 100 logits', () => {
    const values = randomFloats(64 * 100, 1);
    const ids = randomIds(64, 100, 1);
    const run = (from: number, rows: number) =>
      tf.tidy(() => {
        const logits = tf.tensor2d(values.slice(from * 100, (from + rows) * 100), [rows, 100]);
        const both = [logProbability(logits, ids.slice(from, from + rows)), entropy(logits)];
        return both.map((y) => y.dataSync() as Float32Array);
      });
    const all = run(0, 64);
    for (const rows of batches)
      run(64 - rows, rows).forEach((got, i) =>
        expect(differing(got, (all[i] as Float32Array).slice(64 - rows))).toBe(0),
      );
  });

  test('in cached attention, alone, in batches and among rows that started elsewhere', () => {
    const [width, capacity, heads] = [48, 20, 2];
    const values = randomFloats(13 * 3 * width * 2, 1);
    const run = (rows: number[], starts: number[]) => {
      const cache = createKeyValueCache(rows.length, capacity, width);
      const step = (at: number, from: number[]) =>
        tf.tidy(() => {
          const pieces = rows.map((row) => [
            ...values.subarray((2 * row + at) * 3 * width, (2 * row + at + 1) * 3 * width),
          ]);
          const qkv = tf.tensor2d(pieces, [rows.length, 3 * width]);
          return cachedAttention(qkv, cache, Int32Array.from(from), { heads }).dataSync() as Float32Array;
        });
      // Positions between 0 and the start hold zeros in every run.
      step(0, starts);
      const y = step(
        1,
        starts.map((start) => start + 1),
      );
      cache.dispose();
      return y;
    };
    const rows = Array.from({ length: 13 }, (_, i) => i);
    const all = run(rows, rows);
    for (const row of rows) expect(differing(run([row], [row]), all.slice(row * width, (row + 1) * width))).toBe(0);
    expect(differing(run([4, 2], [4, 2]).slice(width), all.slice(2 * width, 3 * width))).toBe(0);
  });
});
