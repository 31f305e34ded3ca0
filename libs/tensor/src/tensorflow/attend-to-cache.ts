import type * as tf from '@tensorflow/tfjs';
import { cacheMask, cachePlaces } from '../composed-attention';
import type { AttentionHeads, KeyValueCache } from '../kernels';
import { chain } from './chain';
import { softmaxOperation } from './primitives';
import { boolAttribute, intAttribute, intType } from './raw-ops';

/**
 * Cached attention of one new token a row, as `composeAttention` has it for any number. Sampling calls it for every token and layer,
 * and its operations are small, so that their number is what they cost; with one token nothing need be transposed.
 */
export function attendToCache(
  packed: tf.Tensor2D,
  cache: KeyValueCache,
  starts: Int32Array,
  { heads, keyHeads, headWidth, scale, softCap, window }: AttentionHeads,
): tf.Tensor2D {
  const { batch, capacity } = cache;
  const blocks = batch * keyHeads;
  const span = starts.reduce((a, b) => Math.max(a, b)) + 1;
  return chain([batch, heads * headWidth], ({ of, scalar, floats, ints, run, runMany, reshape }) => {
    const widths = ints(Int32Array.of(heads, keyHeads, keyHeads).map((count) => count * headWidth));
    const split = [intType('Tlen'), intAttribute('num_split', 3)];
    const parts = runMany(3, 'SplitV', [of(packed), widths, ints(Int32Array.of(1), [])], ...split);
    const [query, key, value] = parts as [number, number, number];
    const places = ints(cachePlaces(cache, starts, 1, keyHeads));
    const write = (kept: tf.Tensor, rows: number) =>
      run('InplaceUpdate', [
        reshape(of(kept), [blocks * capacity, headWidth]),
        places,
        reshape(rows, [blocks, headWidth]),
      ]);
    const used = (kept: tf.Tensor) => {
      const all = reshape(of(kept), [blocks, capacity, headWidth]);
      if (2 * span > capacity) return all;
      return run('Slice', [all, ints(new Int32Array(3)), ints(Int32Array.of(-1, span, -1))], intType('Index'));
    };
    write(cache.keys, key);
    write(cache.values, value);
    const length = 2 * span > capacity ? capacity : span;
    const factor = scalar(softCap === undefined ? scale : scale / softCap);
    const scaled = reshape(run('Mul', [query, factor]), [blocks, heads / keyHeads, headWidth]);
    const products = run('BatchMatMulV2', [scaled, used(cache.keys)], boolAttribute('adj_y', true));
    const scores = softCap === undefined ? products : run('Mul', [run('Tanh', [products]), scalar(softCap)]);
    const mask = floats(cacheMask(starts, 1, length, window).values, [batch, 1, length]);
    const [softmax, ...attributes] = softmaxOperation();
    const masked = run('AddV2', [reshape(scores, [batch, heads, length]), mask]);
    const probabilities = reshape(run(softmax, [masked], ...attributes), [blocks, heads / keyHeads, length]);
    return reshape(run('BatchMatMulV2', [probabilities, used(cache.values)]), [batch, heads * headWidth]);
  });
}
