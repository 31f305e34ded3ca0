import * as tf from '@tensorflow/tfjs';
import { differentiable } from './differentiable';
import type { AttentionHeads, Kernels, KeyValueCache } from './kernels';
import type { Primitives } from './composed-kernels';

/**
 * Attention composed of few and large operations. The query heads that share a key head are folded into the rows of one product,
 * [B·keyHeads, shared·T, W] by [B·keyHeads, W, S], so that no key is repeated. Caches are laid out [B, keyHeads, capacity, W].
 */
export function composeAttention(primitives: Primitives): Pick<Kernels, 'attention' | 'cachedAttention' | 'growCache'> {
  /** Scores, capped where heads are, and what their gradient needs: the tanh of capped ones. */
  function score(query: tf.Tensor, keys: tf.Tensor, { scale, softCap }: AttentionHeads) {
    const products = tf.matMul(tf.mul(query, softCap === undefined ? scale : scale / softCap), keys, false, true);
    if (softCap === undefined) return { scores: products };
    const tanh = tf.tanh(products);
    return { scores: tf.mul(tanh, softCap), tanh };
  }

  /** Softmax of the scores [B·keyHeads, shared·T, S] under a mask of whole sequences, or of each of B. */
  function maskedSoftmax(scores: tf.Tensor, { values, count }: Mask, batch: number, length: number): tf.Tensor {
    const span = scores.shape[2] as number;
    const heads = scores.size / batch / length / span;
    const isShared = count === 1;
    const mask = tf.tensor(values, isShared ? [1, length, span] : [batch, 1, length * span]);
    const each = isShared ? [batch * heads, length, span] : [batch, heads, length * span];
    return primitives.softmax(shaped(tf.add(shaped(scores, each), mask), scores.shape));
  }

  return {
    attention(packed, batch, shape) {
      const { heads, keyHeads, headWidth, scale } = shape;
      const rows = packed.shape[0];
      const length = rows / batch;
      // Where no head is shared the order may be [heads, B, T, W]: queries, keys and values are then views of one transposed tensor.
      const outer = heads === keyHeads ? 1 : batch;
      return differentiable([packed], (save) => {
        const [query, key, value] = splitHeads(packed, { batch, outer }, shape);
        const { scores, tanh } = score(query, key, shape);
        const probabilities = maskedSoftmax(scores, causalMask(length, shape.window), batch, length);
        const mixed = headsLast(tf.matMul(probabilities, value), outer, heads, rows / outer);
        save([query, key, value, probabilities, mixed, ...(tanh ? [tanh] : [])]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [query, key, value, probabilities, mixed] = saved as [Tensor, Tensor, Tensor, Tensor, tf.Tensor2D];
          const tanh = saved[5];
          const folded = (x: tf.Tensor2D) =>
            tf.reshape(headsFirst(x, outer, heads), [batch * keyHeads, -1, x.shape[1] / heads]);
          const dBlocks = folded(dy);
          // sum_j p_ij dp_ij = sum_d y_id dy_id: the row sums of the softmax gradient, from the smaller tensors.
          const sums = tf.sum(tf.reshape(tf.mul(dy, mixed), [rows, heads, headWidth]), -1) as tf.Tensor2D;
          const centred = tf.sub(tf.matMul(dBlocks, value, false, true), folded(sums));
          const dCapped = tf.mul(centred, probabilities);
          const dScores = tanh ? primitives.tanhGradient(tanh, dCapped) : dCapped;
          const parts = [
            tf.mul(tf.matMul(dScores, key), scale),
            tf.mul(tf.matMul(dScores, query, true, false), scale),
            tf.matMul(probabilities, dBlocks, true, false),
          ];
          const together =
            heads === keyHeads
              ? tf.concat(parts, 0)
              : tf.concat(
                  parts.map((part) => tf.reshape(part, [batch, -1, length * headWidth])),
                  1,
                );
          return [headsLast(together, outer, heads + 2 * keyHeads, rows / outer)];
        };
        return { value: mixed, gradient };
      });
    },

    cachedAttention(packed, cache, starts, shape) {
      const { heads, keyHeads, headWidth } = shape;
      return tf.tidy(() => {
        const { batch, capacity } = cache;
        const length = packed.shape[0] / batch;
        const [queries, newKeys, newValues] = splitParts(packed, shape);
        const places = cachePlaces(cache, starts, length, keyHeads);
        const write = (kept: tf.Tensor, part: tf.Tensor2D) =>
          primitives.replaceRows(
            kept,
            places,
            tf.reshape(headsFirst(part, batch, keyHeads), [places.length, headWidth]),
          );
        cache.keys = write(cache.keys, newKeys);
        cache.values = write(cache.values, newValues);
        const span = starts.reduce((a, b) => Math.max(a, b)) + length;
        const used = (kept: tf.Tensor) => {
          const all = tf.reshape(kept, [batch * keyHeads, capacity, headWidth]);
          return 2 * span > capacity ? all : tf.slice(all, [0, 0, 0], [-1, span, -1]);
        };
        const [keys, values] = [used(cache.keys), used(cache.values)] as [Tensor, Tensor];
        const query = tf.reshape(headsFirst(queries, batch, heads), [batch * keyHeads, -1, headWidth]);
        const { scores } = score(query, keys, shape);
        const mask = cacheMask(starts, length, keys.shape[1] as number, shape.window);
        const probabilities = maskedSoftmax(scores, mask, batch, length);
        return headsLast(tf.matMul(probabilities, values), batch, heads, length);
      });
    },

    growCache(cache, capacity, keyHeads) {
      const { batch } = cache;
      const grow = (old: tf.Tensor) => {
        const width = old.size / batch / cache.capacity;
        const more: [number, number][] = [
          [0, 0],
          [0, capacity - cache.capacity],
          [0, 0],
        ];
        const grown = tf.tidy(() => {
          const blocks = tf.reshape(old, [batch * keyHeads, cache.capacity, width / keyHeads]);
          return tf.keep(tf.reshape(tf.pad(blocks, more), [batch, capacity, width]));
        });
        old.dispose();
        return grown;
      };
      cache.keys = grow(cache.keys);
      cache.values = grow(cache.values);
      cache.capacity = capacity;
    },
  };
}

type Tensor = tf.Tensor;

/** The packed rows as queries, keys and values, heads side by side. */
function splitParts(packed: tf.Tensor2D, { heads, keyHeads, headWidth }: AttentionHeads) {
  const widths = [heads, keyHeads, keyHeads].map((count) => count * headWidth);
  return tf.split(packed, widths, 1) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
}

/** The packed rows as query [B·keyHeads, shared·T, W], key and value [B·keyHeads, T, W]. */
function splitHeads(
  packed: tf.Tensor2D,
  { batch, outer }: { batch: number; outer: number },
  { heads, keyHeads, headWidth }: AttentionHeads,
): [Tensor, Tensor, Tensor] {
  const parts = heads + 2 * keyHeads;
  const all = headsFirst(packed, outer, parts);
  if (heads === keyHeads)
    return tf.split(tf.reshape(all, [parts * batch, -1, headWidth]), 3, 0) as [Tensor, Tensor, Tensor];
  const each = tf.split(tf.reshape(all, [batch, parts, -1]), [heads, keyHeads, keyHeads], 1);
  return each.map((part) => tf.reshape(part, [batch * keyHeads, -1, headWidth])) as [Tensor, Tensor, Tensor];
}

/** [B*T, heads·W] with the values in the order [B, heads, T, W]. */
function headsFirst(rows: tf.Tensor2D, batch: number, heads: number): Tensor {
  const [count, width] = rows.shape;
  // With one token or one head that is the order they have.
  if (count === batch || heads === 1) return rows;
  return tf.transpose(tf.reshape(rows, [batch, count / batch, heads, width / heads]), [0, 2, 1, 3]);
}

/** Values in the order [B, heads, T, W] to [B*T, heads·W]. */
function headsLast(blocks: Tensor, batch: number, heads: number, length: number): tf.Tensor2D {
  const width = blocks.size / batch / length;
  const shape: [number, number] = [batch * length, width];
  if (length === 1 || heads === 1) return tf.reshape(blocks, shape);
  return tf.reshape(tf.transpose(tf.reshape(blocks, [batch, heads, length, width / heads]), [0, 2, 1, 3]), shape);
}

function shaped(x: Tensor, shape: number[]): Tensor {
  return tf.util.arraysEqual(x.shape, shape) ? x : tf.reshape(x, shape);
}

/** 0 where a token may look, far below every score elsewhere. */
interface Mask {
  /** [count, T, S] */
  values: Float32Array;
  /** Of sequences. */
  count: number;
}

const hidden = -1e9;

/** The masks of the last pass, which all its layers of one window share. */
const lastMasks = new Map<string, Mask>();

function remembered(key: string, pass: string, make: () => Mask): Mask {
  const known = lastMasks.get(key);
  if (known) return known;
  for (const other of lastMasks.keys()) if (!other.startsWith(pass)) lastMasks.delete(other);
  const mask = make();
  lastMasks.set(key, mask);
  return mask;
}

/** [1, T, T] of whole sequences. */
function causalMask(length: number, window: number | undefined): Mask {
  return cacheMask(new Int32Array(1), length, length, window);
}

/** [B, T, span]: row b's tokens stand at positions from `starts[b]` on, those of keys are 0 to span - 1. */
export function cacheMask(starts: Int32Array, length: number, span: number, window: number | undefined): Mask {
  const seen = window === undefined || window >= span ? span : window;
  const pass = `${length} ${span} ${starts.join()} `;
  return remembered(`${pass}${seen}`, pass, () => {
    const values = new Float32Array(starts.length * length * span).fill(hidden);
    for (let row = 0; row < starts.length * length; row++) {
      const end = starts[Math.floor(row / length)]! + (row % length) + 1;
      values.fill(0, row * span + Math.max(0, end - seen), row * span + end);
    }
    return { values, count: starts.length };
  });
}

/** Where the new tokens of each row and head go, the cache read as [B·keyHeads·capacity, W]. */
export function cachePlaces(
  { batch, capacity }: KeyValueCache,
  starts: Int32Array,
  length: number,
  keyHeads: number,
): Int32Array {
  const places = new Int32Array(batch * keyHeads * length);
  for (let block = 0; block < batch * keyHeads; block++) {
    const first = block * capacity + starts[Math.floor(block / keyHeads)]!;
    for (let t = 0; t < length; t++) places[block * length + t] = first + t;
  }
  return places;
}
