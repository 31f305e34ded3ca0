import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { gelu, openBackend } from '../index';
import { openSimdHeap } from './simd-heap';
import { randomFloats } from '../test-decoder';

describe.each(['simd', 'relaxed-simd'] as const)('%s', (kernelBuild) => {
  beforeEach(() => openBackend('wasm', { kernelBuild }));

  const heapBytes = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.byteLength;

  test('a workspace that grows gives its old memory back', () => {
    const heap = openSimdHeap(tf.backend() as BackendWasm, kernelBuild);
    const starts = Array.from({ length: 20 }, (_, i) => heap.workspace(3, (i + 1) << 20));
    for (const address of starts.flat()) expect(address % 16).toBe(0);
    // Kept, the twenty blocks would take 210 MB.
    expect(heapBytes()).toBeLessThan(150e6);
  });

  test('opening again takes no more of the heap', async () => {
    const size = heapBytes();
    for (let i = 0; i < 200; i++) await openBackend('wasm', { kernelBuild });
    expect(heapBytes()).toBe(size);
  });

  test('results are the same after the heap has grown', () => {
    const x = tf.tensor2d(randomFloats(35, 1), [5, 7]);
    const before = gelu(x);
    const size = heapBytes();
    const large = tf.zeros([size / 4 + 1024]);
    expect(heapBytes()).toBeGreaterThan(size);
    const after = gelu(x);
    expect(after.dataSync()).toEqual(before.dataSync());
    tf.dispose([x, before, after, large]);
  });
});
