import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkCount, checkShape, invalid } from './checks';
import type { AttentionHeads, KeyValueCache } from './kernels';

/** What an attention over packed rows is told; what is left out is that of an ordinary one. */
export interface AttentionOptions {
  /** Of the queries; divides what is left of the width when keys and values are taken off. */
  heads: number;
  /** Of keys and values, each shared by `heads / keyHeads` query heads (Ainslie et al. 2023, arXiv:2305.13245); default `heads`. */
  keyHeads?: number | undefined;
  /** Times the products of queries and keys; default `1 / sqrt(W)`. */
  scale?: number | undefined;
  /** Scores become `cap · tanh(score / cap)` (Gemma 2, arXiv:2408.00118). */
  softCap?: number | undefined;
  /** A token sees itself and `window - 1` tokens before it (Mistral, arXiv:2310.06825). */
  window?: number | undefined;
}

/**
 * Causal self-attention of several heads: `softmax(q k^T · scale) v`, each token looking at itself and before.
 *
 * Because of the causal mask padding on the right changes nothing before it.
 *
 * @param packed [B*T, (heads + 2 keyHeads) · W] query, key and value side by side; rows of one sequence follow each other
 * @param options.batch B
 * @returns [B*T, heads · W]; differentiable
 * @throws DomainError invalid_argument if the numbers do not divide
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762.
 */
export function attention(packed: tf.Tensor2D, options: AttentionOptions & { batch: number }): tf.Tensor2D {
  const { heads } = checkPacked('attention', packed, options.batch, options);
  return currentKernels().attention(packed, options.batch, heads);
}

/** A cache of zeros for `batch` sequences of up to `capacity` tokens, of keys `width` = keyHeads · W wide. The caller disposes it. */
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
 * Makes room for more positions; what the cache holds stays.
 *
 * @param capacity at least what it has
 * @throws DomainError invalid_argument
 */
export function growKeyValueCache(cache: KeyValueCache, capacity: number, { keyHeads }: { keyHeads: number }): void {
  checkCount('growKeyValueCache: capacity', capacity, cache.capacity);
  if (capacity > cache.capacity) currentKernels().growCache(cache, capacity, keyHeads);
}

/**
 * Attention of T new tokens a row over a cache, which they join first; the same formula as `attention`.
 *
 * Row b's tokens take positions `starts[b]..starts[b]+T-1` and see positions 0 to their own. Prompts of different lengths may so
 * be padded on the right: what padding wrote is overwritten by the tokens that follow before anything reads it.
 *
 * @param packed [B*T, (heads + 2 keyHeads) · W]
 * @param cache  written
 * @param starts [B]
 * @returns [B*T, heads · W]; no gradient
 * @throws DomainError invalid_argument if shapes do not fit together or a row leaves the cache
 */
export function cachedAttention(
  packed: tf.Tensor2D,
  cache: KeyValueCache,
  starts: Int32Array,
  options: AttentionOptions,
): tf.Tensor2D {
  const { batch, capacity } = cache;
  const { length, heads } = checkPacked('cachedAttention', packed, batch, options);
  const width = heads.keyHeads * heads.headWidth;
  checkShape('cachedAttention: cache.keys', cache.keys, [batch, capacity, width]);
  checkShape('cachedAttention: cache.values', cache.values, [batch, capacity, width]);
  if (!(starts instanceof Int32Array) || starts.length !== batch)
    throw invalid(`cachedAttention: starts must be an Int32Array of ${batch}, one for each row of the cache`);
  starts.forEach((start, row) => {
    if (start < 0 || start + length > capacity)
      throw invalid(`cachedAttention: row ${row} takes positions ${start}..${start + length - 1} of ${capacity}`);
  });
  return currentKernels().cachedAttention(packed, cache, starts, heads);
}

function checkPacked(
  operation: string,
  packed: tf.Tensor2D,
  batch: number,
  options: AttentionOptions,
): { length: number; heads: AttentionHeads } {
  const { heads, keyHeads = heads, softCap, window } = options;
  checkCount(`${operation}: batch`, batch);
  checkCount(`${operation}: heads`, heads);
  checkCount(`${operation}: keyHeads`, keyHeads);
  if (window !== undefined) checkCount(`${operation}: window`, window);
  if (heads % keyHeads !== 0) throw invalid(`${operation}: ${heads} heads are not a multiple of ${keyHeads} key heads`);
  checkShape(`${operation}: packed`, packed, [undefined, undefined]);
  const [rows, width] = packed.shape;
  if (rows === 0 || rows % batch !== 0)
    throw invalid(`${operation}: ${rows} rows are not a multiple of batch ${batch}`);
  const parts = heads + 2 * keyHeads;
  if (width === 0 || width % parts !== 0)
    throw invalid(`${operation}: width ${width} is not a multiple of ${heads} + 2 * ${keyHeads} heads`);
  const headWidth = width / parts;
  const { scale = 1 / Math.sqrt(headWidth) } = options;
  if (!(scale > 0 && scale < Infinity)) throw invalid(`${operation}: scale is ${scale}, needs a number > 0`);
  if (softCap !== undefined && !(softCap > 0 && softCap < Infinity))
    throw invalid(`${operation}: softCap is ${softCap}, needs a number > 0`);
  return { length: rows / batch, heads: { heads, keyHeads, headWidth, scale, softCap, window } };
}
