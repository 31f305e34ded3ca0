import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkCount, checkShape, invalid } from './checks';
import type { KeyValueCache } from './kernels';

/**
 * Causal self-attention of several heads: `softmax(q k^T / sqrt(H / heads)) v`, each token looking at itself and before.
 *
 * Because of the causal mask padding on the right changes nothing before it.
 *
 * @param qkv [B*T, 3H] query, key and value side by side; rows of one sequence follow each other
 * @param options.batch B
 * @param options.heads divides H
 * @returns [B*T, H]; differentiable
 * @throws DomainError invalid_argument if the numbers do not divide
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762.
 */
export function attention(qkv: tf.Tensor2D, { batch, heads }: { batch: number; heads: number }): tf.Tensor2D {
  checkPacked('attention', qkv, batch, heads);
  return currentKernels().attention(qkv, batch, heads);
}

/** A cache of zeros for `batch` sequences of up to `capacity` tokens of width H. The caller disposes it. */
export function createKeyValueCache(batch: number, capacity: number, width: number): KeyValueCache {
  checkCount('createKeyValueCache: batch', batch);
  checkCount('createKeyValueCache: capacity', capacity);
  checkCount('createKeyValueCache: width', width);
  const zeros = () => tf.keep(tf.zeros([batch, capacity, width]));
  const cache: KeyValueCache = {
    batch,
    capacity,
    keys: zeros(),
    values: zeros(),
    dispose: () => tf.dispose([cache.keys, cache.values]),
  };
  return cache;
}

/**
 * Attention of T new tokens a row over a cache, which they join first; the same formula as `attention`.
 *
 * Row b's tokens take positions `starts[b]..starts[b]+T-1` and see positions 0 to their own. Prompts of different lengths may so
 * be padded on the right: what padding wrote is overwritten by the tokens that follow before anything reads it.
 *
 * @param qkv    [B*T, 3H]
 * @param cache  written
 * @param starts [B]
 * @param options.heads divides H
 * @returns [B*T, H]; no gradient
 * @throws DomainError invalid_argument if shapes do not fit together or a row leaves the cache
 */
export function cachedAttention(
  qkv: tf.Tensor2D,
  cache: KeyValueCache,
  starts: Int32Array,
  { heads }: { heads: number },
): tf.Tensor2D {
  const { batch, capacity } = cache;
  const { length, width } = checkPacked('cachedAttention', qkv, batch, heads);
  checkShape('cachedAttention: cache.keys', cache.keys, [batch, capacity, width]);
  checkShape('cachedAttention: cache.values', cache.values, [batch, capacity, width]);
  if (!(starts instanceof Int32Array) || starts.length !== batch)
    throw invalid(`cachedAttention: starts must be an Int32Array of ${batch}, one for each row of the cache`);
  starts.forEach((start, row) => {
    if (start < 0 || start + length > capacity)
      throw invalid(`cachedAttention: row ${row} takes positions ${start}..${start + length - 1} of ${capacity}`);
  });
  return currentKernels().cachedAttention(qkv, cache, starts, heads);
}

function checkPacked(operation: string, qkv: tf.Tensor2D, batch: number, heads: number) {
  checkCount(`${operation}: batch`, batch);
  checkCount(`${operation}: heads`, heads);
  checkShape(`${operation}: qkv`, qkv, [undefined, undefined]);
  const [rows, packed] = qkv.shape;
  if (rows === 0 || rows % batch !== 0)
    throw invalid(`${operation}: ${rows} rows are not a multiple of batch ${batch}`);
  if (packed === 0 || packed % (3 * heads) !== 0)
    throw invalid(`${operation}: width ${packed} is not a multiple of 3 * ${heads} heads`);
  return { length: rows / batch, width: packed / 3 };
}
