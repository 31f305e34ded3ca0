import * as tf from '@tensorflow/tfjs';
import type { Kernels, KeyValueCache } from './kernels';
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

  attention(qkv, batch, heads) {
    return tf.tidy(() => {
      const length = qkv.shape[0] / batch;
      const [query, key, value] = splitHeads(qkv, batch, heads);
      const mask = causalMask(length, length, new Int32Array(1));
      return attend(query, key, value, mask);
    });
  },

  cachedAttention(qkv, cache, starts, heads) {
    return tf.tidy(() => {
      const { batch, capacity } = cache;
      const length = qkv.shape[0] / batch;
      const [, keys, values] = tf.split(qkv, 3, 1);
      writeRows(cache, starts, length, keys as tf.Tensor2D, values as tf.Tensor2D);
      const [query] = splitHeads(qkv, batch, heads);
      const cached = (rows: tf.Tensor) => toHeads(rows, batch, capacity, heads);
      return attend(query, cached(cache.keys), cached(cache.values), causalMask(length, capacity, starts));
    });
  },

  layerNorm(x, gain, bias, epsilon) {
    return tf.tidy(() => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const variance = tf.mean(tf.square(centred), -1, true);
      return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), gain), bias) as tf.Tensor2D;
    });
  },

  gelu(x) {
    return tf.tidy(() => {
      const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1)) as tf.Tensor2D;
    });
  },

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

/** The packed [B*T, 3H] as query, key and value, each [B, heads, T, H/heads]. */
function splitHeads(qkv: tf.Tensor2D, batch: number, heads: number): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const parts = tf.split(qkv, 3, 1).map((part) => toHeads(part, batch, qkv.shape[0] / batch, heads));
  return parts as [tf.Tensor, tf.Tensor, tf.Tensor];
}

function toHeads(rows: tf.Tensor, batch: number, length: number, heads: number): tf.Tensor {
  const width = rows.shape.at(-1) as number;
  return tf.transpose(tf.reshape(rows, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

function attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor): tf.Tensor2D {
  const [batch, heads, length, width] = query.shape as [number, number, number, number];
  const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(width));
  const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), value);
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * length, heads * width]);
}

/** [starts, 1, T, S]: 0 where the token at position start + t may look, far below every score elsewhere. */
function causalMask(length: number, span: number, starts: Int32Array): tf.Tensor {
  const mask = new Float32Array(starts.length * length * span).fill(-1e9);
  starts.forEach((start, row) => {
    for (let t = 0; t < length; t++) {
      const from = (row * length + t) * span;
      mask.fill(0, from, from + start + t + 1);
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
