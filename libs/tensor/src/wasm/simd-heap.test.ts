import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import {
  embedding,
  gelu,
  linear,
  logProbability,
  openBackend,
  valueAndGradients,
  createAdamW,
  type KernelBuild,
} from '../index';
import type { Kernels } from '../kernels';
import { openSimdHeap, type KernelModule, type SimdHeap } from './simd-heap';
import { createSimdKernels } from './simd-kernels';
import { randomFloats, randomIds } from '../test-decoder';
import '../testing';

type Range = [from: number, to: number];

const memoryOf = () =>
  (tf.backend() as unknown as { wasm: { asm: { memory: { buffer: ArrayBuffer } } } }).wasm.asm.memory;

/** Every operation with its gradient once, on shapes with remainders; floats of values and gradients. */
function runAll(kernels: Kernels): Float32Array[] {
  return tf.tidy(() => {
    const input = (shape: number[], seed: number) =>
      tf.variable(
        tf.tensor(
          randomFloats(
            shape.reduce((a, b) => a * b),
            seed,
          ),
          shape,
        ),
      );
    const matrix = (rows: number, columns: number, seed: number) =>
      input([rows, columns], seed) as tf.Variable<tf.Rank.R2>;
    const row = (size: number, seed: number) => input([size], seed) as tf.Variable<tf.Rank.R1>;
    const results: Float32Array[] = [];
    const take = (inputs: tf.Variable[], run: () => tf.Tensor) => {
      const { value, gradients } = valueAndGradients(() => tf.sum(tf.square(run())) as tf.Scalar, inputs);
      results.push(...[run(), value, ...gradients].map((tensor) => tensor.dataSync() as Float32Array));
    };
    const [x, w, wt, b] = [matrix(37, 19, 1), matrix(19, 51, 2), matrix(51, 19, 3), row(51, 4)] as const;
    const r = matrix(37, 51, 5);
    take([x, w, b], () => kernels.linear(x, w, { bias: b }));
    take([x, wt, b, r], () => kernels.linear(x, wt, { bias: b, residual: r, transposeWeight: true }));
    const qkv = matrix(3 * 35, 30, 6);
    take([qkv], () => kernels.attention(qkv, 3, { heads: 2, keyHeads: 2, headWidth: 5, scale: 1 / Math.sqrt(5) }));
    const [gain, bias] = [row(19, 7), row(19, 8)];
    take([x, gain, bias], () => kernels.layerNorm(x, gain, bias, 1e-5));
    take([x], () => kernels.gelu(x));
    take([x], () => kernels.entropy(x));
    const ids = randomIds(37, 19, 9);
    take([x], () => kernels.logProbability(x, ids));
    take([x], () => kernels.embedding(x, Int32Array.of(36, 0, 36)));
    const places = matrix(2, 19, 10);
    take([x, places], () =>
      kernels.embedding(x, Int32Array.of(36, 0, 36), { table: places, ids: Int32Array.of(1, 0, 1) }),
    );
    return results;
  });
}

describe.each(['simd', 'relaxed-simd'] as const)('%s on the shared heap', (kernelBuild) => {
  beforeEach(() => openBackend('wasm', { kernelBuild }));

  /** The heap with every kernel call watched, and NaN in all memory that a kernel is given to write. */
  function watchedHeap(report: (kernel: string, changed: number) => void): SimdHeap {
    const heap = openSimdHeap(tf.backend() as BackendWasm, kernelBuild);
    const scratch = tf.keep(tf.fill([heap.module.scratchBytes() / 4 + 4], NaN));
    const scratchAt = (heap.address(scratch) + 15) & ~15;
    heap.module.useScratch(scratchAt);
    const outputs: [tensor: tf.Tensor, range: Range][] = [];
    let workspaces: Range[] = [];
    const give = (address: number, bytes: number) => {
      new Float32Array(memoryOf().buffer, address, bytes >> 2).fill(NaN);
      return [address, address + bytes] as Range;
    };
    const watch =
      (name: string, kernel: (...numbers: number[]) => number | void) =>
      (...numbers: number[]) => {
        const before = new Uint8Array(memoryOf().buffer).slice();
        const result = kernel(...numbers);
        const after = new Uint8Array(memoryOf().buffer);
        const live = outputs.filter(([tensor]) => !tensor.isDisposed).map(([, range]) => range);
        const ranges = [...live, ...workspaces, [scratchAt, scratchAt + heap.module.scratchBytes()] as Range];
        for (const [from, to] of ranges) before.set(after.subarray(from, to), from);
        report(
          name,
          Buffer.compare(before, after) === 0 ? 0 : before.reduce((n, byte, i) => n + Number(byte !== after[i]), 0),
        );
        return result;
      };
    const kernels = Object.entries(heap.module) as [string, (...numbers: number[]) => number | void][];
    const module = Object.fromEntries(kernels.map(([name, kernel]) => [name, watch(name, kernel)])) as KernelModule;
    const output: SimdHeap['output'] = (shape) => {
      const tensor = heap.output(shape);
      outputs.push([tensor, give(heap.address(tensor), 4 * tensor.size)]);
      return tensor as never;
    };
    const workspace = (...sizes: number[]) => {
      const addresses = heap.workspace(...sizes);
      workspaces = sizes.map((size, i) => give(addresses[i] as number, size));
      return addresses;
    };
    return { ...heap, module, output, workspace };
  }

  test('no kernel writes outside its outputs and scratch, nor reads what was not written', () => {
    const plainResults = runAll(createSimdKernels(openSimdHeap(tf.backend() as BackendWasm, kernelBuild)));
    const calls = new Map<string, number>();
    const heap = watchedHeap((kernel, changed) => calls.set(kernel, (calls.get(kernel) ?? 0) + changed));
    const watchedResults = runAll(createSimdKernels(heap));
    expect([...calls.keys()].sort()).toEqual(
      [
        ...['addGatheredRows', 'addRow', 'attention', 'attentionGradient', 'entropy', 'entropyGradient', 'gatherRows'],
        ...['gelu', 'geluGradient', 'layerNorm', 'layerNormGradient', 'logProbability', 'logProbabilityGradient'],
        ...['matmul', 'scatterRows', 'sumRows'],
      ].sort(),
    );
    expect([...calls].filter(([, changed]) => changed > 0)).toEqual([]);
    expect(watchedResults).toEqual(plainResults);
  });

  test('a token step changes only its own rows of the cache', () => {
    const changed = new Map<string, number>();
    const heap = watchedHeap((kernel, bytes) => changed.set(kernel, bytes));
    const [batch, capacity, width] = [2, 4, 5];
    tf.tidy(() => {
      const filled = () => tf.fill([batch, capacity, width], 7);
      const cache = { batch, capacity, keys: filled(), values: filled(), dispose: () => undefined };
      const qkv = tf.tensor2d(randomFloats(2 * 15, 1), [2, 15]);
      createSimdKernels(heap).cachedAttention(qkv, cache, Int32Array.of(3, 1), {
        ...{ heads: 1, keyHeads: 1, headWidth: width, scale: 1 / Math.sqrt(width) },
      });
      // Keys and values of one position in each of two rows.
      expect(changed.get('cachedAttention')).toBeLessThanOrEqual(2 * 2 * 4 * width);
      const rows = tf.reshape(cache.values, [batch * capacity, width]).arraySync() as number[][];
      const value = (row: number) => tf.slice(qkv, [row, 10], [1, width]).dataSync();
      rows.forEach((row, i) =>
        expect(row).toBeAllclose(i === 3 ? value(0) : i === capacity + 1 ? value(1) : new Float32Array(width).fill(7)),
      );
    });
  });

  test('a wrong id is refused before anything touches the heap', () => {
    tf.tidy(() => {
      const [table, logits] = [tf.zeros([5, 3]) as tf.Tensor2D, tf.zeros([2, 4]) as tf.Tensor2D];
      const positions = { table: tf.zeros([2, 3]) as tf.Tensor2D, ids: Int32Array.of(0, 2) };
      const before = new Uint8Array(memoryOf().buffer).slice();
      const refuse = (run: () => unknown, message: string) =>
        expect(run).toThrow(
          expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) }),
        );
      refuse(() => embedding(table, Int32Array.of(0, 5)), 'ids[1] is 5, outside 0..4');
      refuse(() => embedding(table, Int32Array.of(-1)), 'ids[0] is -1');
      refuse(() => embedding(table, Int32Array.of(0, 1), positions), 'positions.ids[1] is 2');
      refuse(() => embedding(table, Int32Array.of(0), positions), 'holds 2 ids, needs 1');
      refuse(() => logProbability(logits, Int32Array.of(0, 4)), 'ids[1] is 4');
      refuse(() => logProbability(logits, Int32Array.of(0)), 'holds 1 ids, needs 2');
      refuse(() => linear(table, logits), 'weight is float32 [2, 4], needs float32 [3, any]');
      expect(Buffer.compare(before, new Uint8Array(memoryOf().buffer))).toBe(0);
    });
  });

  test('ids that change after the forward pass do not change the gradient', () => {
    const table = tf.variable(tf.zeros([3, 2])) as tf.Variable<tf.Rank.R2>;
    const ids = Int32Array.of(1, 2);
    const { value, gradients } = valueAndGradients(() => {
      const sum = tf.sum(embedding(table, ids)) as tf.Scalar;
      ids.fill(1_000_000);
      return sum;
    }, [table]);
    expect(gradients[0] as tf.Tensor).toBeAllclose([0, 0, 1, 1, 1, 1]);
    tf.dispose([table, value, gradients]);
  });

  test('what does not fit on the heap is resource_exhausted, and what was there stays usable', () => {
    const heap = openSimdHeap(tf.backend() as BackendWasm, kernelBuild);
    const before = tf.memory().numTensors;
    const size = memoryOf().buffer.byteLength;
    const full = expect.objectContaining({ kind: 'resource_exhausted' });
    // Just under 4 GiB, which the allocator refuses, and more, of which it would take the remainder.
    expect(() => heap.output<tf.Rank.R1>([2 ** 30 - 1000])).toThrow(full);
    expect(() => heap.output<tf.Rank.R2>([60_000, 60_000])).toThrow(full);
    expect(() => heap.workspace(2 ** 32 - 4000)).toThrow(full);
    expect(() => heap.workspace(2 ** 33)).toThrow(full);
    expect(tf.memory().numTensors).toBe(before);
    expect(memoryOf().buffer.byteLength).toBe(size);
    const [address] = heap.workspace(16) as [number];
    expect(address).toBeGreaterThan(0);
  });

  test('AdamW in place leaves clones as they were', () => {
    const parameter = tf.variable(tf.tensor1d([1, 2, 3, 4, 5]));
    const clone = parameter.clone();
    const optimizer = createAdamW([parameter]);
    const gradient = tf.tensor1d([1, -1, 1, -1, 1]);
    optimizer.step([gradient], 0.5);
    // The first step moves every element by the learning rate against its gradient's sign.
    expect(parameter).toBeAllclose([0.5, 2.5, 2.5, 4.5, 4.5]);
    expect(clone).toBeAllclose([1, 2, 3, 4, 5]);
    optimizer.dispose();
    tf.dispose([parameter, clone, gradient]);
  });
});

test.each(['plain', 'simd', 'relaxed-simd'] as KernelBuild[])(
  '%s: a taped and an untaped call leave no tensors',
  async (kernelBuild) => {
    await openBackend('wasm', { kernelBuild });
    const w = tf.variable(tf.tensor2d(randomFloats(12, 1), [3, 4]));
    await expect(() => {
      const { value, gradients } = valueAndGradients(
        () => tf.sum(gelu(linear(w, w, { transposeWeight: true }))) as tf.Scalar,
        [w],
      );
      tf.dispose([value, gradients, gelu(w)]);
    }).toNotLeakTensors();
    w.dispose();
  },
);
