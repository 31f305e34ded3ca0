import * as tf from '@tensorflow/tfjs';
import type { AttentionHeads, Kernels, KeyValueCache } from './kernels';
import { separateMoments, type Update } from './moments';

/** The operations composed of TensorFlow.js' own: slow, the same on every backend, and the oracle of the SIMD kernels' tests. */
export const plainKernels: Kernels = {
  linear(x, weight, { bias, residual, transposeWeight = false }) {
    return tf.tidy(() => {
      let y: tf.Tensor2D = tf.matMul(x, weight, false, transposeWeight);
      if (bias) y = tf.add(y, bias);
      return residual ? tf.add(y, residual) : y;
    });
  },

  attention(packed, batch, heads) {
    return tf.tidy(() => {
      const length = packed.shape[0] / batch;
      const [query, key, value] = splitHeads(packed, batch, heads);
      return attend(query, key, value, causalMask(length, length, new Int32Array(1), heads), heads);
    });
  },

  cachedAttention(packed, cache, starts, heads) {
    return tf.tidy(() => {
      const { batch, capacity } = cache;
      const length = packed.shape[0] / batch;
      const [queries, keys, values] = splitParts(packed, heads);
      writeRows(cache, starts, length, keys, values);
      const query = toHeads(queries, batch, length, heads.heads);
      const cached = (rows: tf.Tensor) => toHeads(rows, batch, capacity, heads.keyHeads);
      const mask = causalMask(length, capacity, starts, heads);
      return attend(query, cached(cache.keys), cached(cache.values), mask, heads);
    });
  },

  growCache(cache, capacity) {
    const grow = (old: tf.Tensor) => {
      const more = [
        [0, 0],
        [0, capacity - cache.capacity],
        [0, 0],
      ] as [number, number][];
      const grown = tf.keep(tf.pad(old, more));
      old.dispose();
      return grown;
    };
    cache.keys = grow(cache.keys);
    cache.values = grow(cache.values);
    cache.capacity = capacity;
  },

  rotate(packed, { cosines, sines }, rotated) {
    return tf.tidy(() => {
      const [rows, width] = packed.shape;
      const half = cosines.shape[1];
      const turned = 2 * half * rotated;
      const [first, second] = tf.split(
        tf.reshape(tf.slice(packed, [0, 0], [rows, turned]), [rows, rotated, 2 * half]),
        2,
        2,
      );
      const [cosine, sine] = [cosines, sines].map((angles) => tf.reshape(angles, [rows, 1, half]));
      const left = tf.sub(tf.mul(first!, cosine!), tf.mul(second!, sine!));
      const right = tf.add(tf.mul(second!, cosine!), tf.mul(first!, sine!));
      const heads: tf.Tensor2D = tf.reshape(tf.concat([left, right], 2), [rows, turned]);
      return turned === width ? heads : tf.concat2d([heads, tf.slice(packed, [0, turned], [rows, width - turned])], 1);
    });
  },

  layerNorm(x, gain, bias, epsilon) {
    return tf.tidy(() => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const variance = tf.mean(tf.square(centred), -1, true);
      return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), gain), bias) as tf.Tensor2D;
    });
  },

  rmsNorm(x, gain, epsilon, gainOffset) {
    return tf.tidy(() => {
      const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
      return tf.mul(tf.mul(x, inverse), gainOffset === 0 ? gain : tf.add(gain, gainOffset)) as tf.Tensor2D;
    });
  },

  gelu(x) {
    return tf.tidy(() => {
      const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1)) as tf.Tensor2D;
    });
  },

  silu: (x) => tf.tidy(() => tf.mul(x, tf.sigmoid(x)) as tf.Tensor2D),

  logProbability(logits, ids) {
    return tf.tidy(() => {
      const chosen = new Float32Array(logits.size);
      ids.forEach((id, row) => (chosen[row * logits.shape[1] + id] = 1));
      return tf.sum(tf.mul(tf.logSoftmax(logits), tf.tensor2d(chosen, logits.shape)), -1) as tf.Tensor1D;
    });
  },

  entropy(logits) {
    return tf.tidy(() => {
      const logProbabilities = tf.logSoftmax(logits);
      return tf.neg(tf.sum(tf.mul(tf.exp(logProbabilities), logProbabilities), -1)) as tf.Tensor1D;
    });
  },

  embedding(table, ids, positions) {
    return tf.tidy(() => {
      const rows = pickRows(table, ids);
      return positions ? tf.add(rows, pickRows(positions.table, positions.ids)) : rows;
    });
  },

  async sumOfSquares(tensors) {
    let sum = 0;
    for (const tensor of tensors) for (const value of await tensor.data()) sum += value * value;
    return sum;
  },

  adamw: (parameters) => separateMoments(parameters, plainUpdate),
};

const plainUpdate: Update = (parameter, first, second, gradient, { beta1, beta2, rate, decay, rootScale, epsilon }) => {
  tf.tidy(() => {
    const m = tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1));
    const v = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const update = tf.div(tf.mul(m, rate), tf.add(tf.mul(tf.sqrt(v), rootScale), epsilon));
    parameter.assign(tf.sub(tf.mul(parameter, decay), update));
    first.assign(m);
    second.assign(v);
  });
};

/** The packed rows as queries, keys and values, heads side by side. */
function splitParts(packed: tf.Tensor2D, { heads, keyHeads, headWidth }: AttentionHeads) {
  const widths = [heads, keyHeads, keyHeads].map((count) => count * headWidth);
  return tf.split(packed, widths, 1) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
}

/** The packed rows as query [B, heads, T, W], key and value [B, keyHeads, T, W]. */
function splitHeads(packed: tf.Tensor2D, batch: number, heads: AttentionHeads): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const length = packed.shape[0] / batch;
  const [query, key, value] = splitParts(packed, heads);
  const ofKeys = (rows: tf.Tensor) => toHeads(rows, batch, length, heads.keyHeads);
  return [toHeads(query, batch, length, heads.heads), ofKeys(key), ofKeys(value)];
}

function toHeads(rows: tf.Tensor, batch: number, length: number, heads: number): tf.Tensor {
  const width = rows.shape.at(-1) as number;
  return tf.transpose(tf.reshape(rows, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

function attend(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  mask: tf.Tensor,
  { heads, keyHeads, headWidth, scale, softCap }: AttentionHeads,
): tf.Tensor2D {
  const [batch, , length] = query.shape as [number, number, number];
  const shared = heads / keyHeads;
  const repeat = (x: tf.Tensor) => {
    if (shared === 1) return x;
    const [b, k, s, w] = x.shape as [number, number, number, number];
    return tf.reshape(tf.tile(tf.reshape(x, [b * k, 1, s * w]), [1, shared, 1]), [b, heads, s, w]);
  };
  const products = tf.mul(tf.matMul(query, repeat(key), false, true), scale);
  const scores = softCap === undefined ? products : tf.mul(tf.tanh(tf.div(products, softCap)), softCap);
  const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), repeat(value));
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * length, heads * headWidth]);
}

/** [starts, 1, T, S]: 0 where the token at position start + t may look, far below every score elsewhere. */
function causalMask(length: number, span: number, starts: Int32Array, { window = span }: AttentionHeads): tf.Tensor {
  const mask = new Float32Array(starts.length * length * span).fill(-1e9);
  starts.forEach((start, row) => {
    for (let t = 0; t < length; t++) {
      const from = (row * length + t) * span;
      const end = start + t + 1;
      mask.fill(0, from + Math.max(0, end - window), from + end);
    }
  });
  return tf.tensor(mask, [starts.length, 1, length, span]);
}

function writeRows(cache: KeyValueCache, starts: Int32Array, length: number, keys: tf.Tensor2D, values: tf.Tensor2D) {
  const { batch, capacity } = cache;
  const width = keys.shape[1];
  const indices = new Int32Array(batch * length);
  for (let i = 0; i < indices.length; i++) {
    const row = Math.floor(i / length);
    indices[i] = row * capacity + (starts[row] as number) + (i % length);
  }
  const at = tf.tensor2d(indices, [indices.length, 1], 'int32');
  const update = (old: tf.Tensor, rows: tf.Tensor2D) => {
    const written = tf.tensorScatterUpdate(tf.reshape(old, [batch * capacity, width]), at, rows);
    const kept = tf.keep(tf.reshape(written, [batch, capacity, width]));
    old.dispose();
    return kept;
  };
  cache.keys = update(cache.keys, keys);
  cache.values = update(cache.values, values);
}

/** Rows of a table; the built-in gather has no gradient on wasm, so the scatter is written here (it adds repeated ids). */
function pickRows(table: tf.Tensor2D, ids: Int32Array): tf.Tensor2D {
  const pick = tf.customGrad((...inputs) => {
    const [from] = inputs as tf.Tensor[] as [tf.Tensor2D];
    const value = tf.gather(from, tf.tensor1d(ids, 'int32'));
    const gradFunc = (dy: tf.Tensor) =>
      tf.scatterND(tf.tensor2d(ids, [ids.length, 1], 'int32'), dy, table.shape as [number, number]);
    return { value, gradFunc };
  });
  return pick(table) as tf.Tensor2D;
}
