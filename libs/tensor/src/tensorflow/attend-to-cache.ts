import type * as tf from '@tensorflow/tfjs';
import { cacheMask, cachePlaces } from '../composed-kernels';
import type { KeyValueCache } from '../kernels';
import { chain } from './chain';
import { softmaxOperation } from './primitives';
import { boolAttribute, intAttribute, intType } from './raw-ops';

/**
 * Cached attention of one new token a row, as `composeKernels` has it for any number. Sampling calls it for every token and layer,
 * and its operations are small, so that their number is what they cost; with one token nothing need be transposed.
 */
export function attendToCache(qkv: tf.Tensor2D, cache: KeyValueCache, starts: Int32Array, heads: number): tf.Tensor2D {
  const { batch, capacity } = cache;
  const [hidden, blocks] = [qkv.shape[1] / 3, batch * heads];
  const width = hidden / heads;
  const span = starts.reduce((a, b) => Math.max(a, b)) + 1;
  return chain([batch, hidden], ({ of, scalar, floats, ints, run, runMany, reshape }) => {
    const parts = runMany(3, 'Split', [ints(Int32Array.of(1), []), of(qkv)], intAttribute('num_split', 3));
    const [query, key, value] = parts as [number, number, number];
    const places = ints(cachePlaces(cache, starts, 1, heads));
    const write = (kept: tf.Tensor, rows: number) =>
      run('InplaceUpdate', [reshape(of(kept), [blocks * capacity, width]), places, reshape(rows, [blocks, width])]);
    const used = (kept: tf.Tensor) => {
      const all = reshape(of(kept), [blocks, capacity, width]);
      if (2 * span > capacity) return all;
      return run('Slice', [all, ints(new Int32Array(3)), ints(Int32Array.of(-1, span, -1))], intType('Index'));
    };
    write(cache.keys, key);
    write(cache.values, value);
    const length = 2 * span > capacity ? capacity : span;
    const scaled = reshape(run('Mul', [query, scalar(1 / Math.sqrt(width))]), [blocks, 1, width]);
    const scores = run('BatchMatMulV2', [scaled, used(cache.keys)], boolAttribute('adj_y', true));
    const mask = floats(cacheMask(starts, 1, length, heads), [blocks, 1, length]);
    const [softmax, ...attributes] = softmaxOperation();
    const probabilities = run(softmax, [run('AddV2', [scores, mask])], ...attributes);
    return reshape(run('BatchMatMulV2', [probabilities, used(cache.values)]), [batch, hidden]);
  });
}
