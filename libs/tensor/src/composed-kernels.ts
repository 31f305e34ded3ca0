import * as tf from '@tensorflow/tfjs';
import { differentiable } from './differentiable';
import { isOrdinary, plainKernels } from './plain-kernels';
import type { Kernels, KeyValueCache, PositionRows } from './kernels';

/** The parts of the composed kernels that a backend may have an operation of its own for. Rows `M`, columns `N`. */
export interface Primitives {
  /** [M, N] plus [N] on every row. */
  addRow(x: tf.Tensor2D, row: tf.Tensor1D): tf.Tensor2D;
  /** [M, N] to [N], summed over the rows. */
  columnSums(x: tf.Tensor2D): tf.Tensor1D;
  /** [M, N] to [M, 1], averaged over each row. */
  rowMeans(x: tf.Tensor2D): tf.Tensor2D;
  /** Over the last axis of any shape. */
  softmax(x: tf.Tensor): tf.Tensor;
  logSoftmax(x: tf.Tensor2D): tf.Tensor2D;
  layerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D, epsilon: number): tf.Tensor2D;
  /** `(x - mean) / sqrt(variance + epsilon)` of each row [M, N], and `1 / sqrt(variance + epsilon)` [M, 1]. */
  standardise(x: tf.Tensor2D, epsilon: number): [standardised: tf.Tensor2D, inverseDeviation: tf.Tensor2D];
  /** `dy (1 - y^2)`: the gradient of tanh from its value. */
  tanhGradient(y: tf.Tensor2D, dy: tf.Tensor2D): tf.Tensor2D;
  /** [M, N] with `values[i]` added at row i, column `ids[i]`; may write to `x`, which nothing else uses. */
  addAt(x: tf.Tensor2D, ids: Int32Array, values: tf.Tensor1D): tf.Tensor2D;
  gatherRows(table: tf.Tensor2D, ids: Int32Array): tf.Tensor2D;
  /** A table of zeros to which row i of dy is added at `ids[i]`. */
  scatterRows(dy: tf.Tensor2D, ids: Int32Array, shape: [number, number]): tf.Tensor2D;
  /** [M, N] with rows `ids` replaced; the tensor given or a new one that is kept, the given one then disposed. */
  replaceRows(kept: tf.Tensor, ids: Int32Array, rows: tf.Tensor2D): tf.Tensor;
}

type Composed = Omit<Kernels, 'adamw' | 'sumOfSquares'>;

/**
 * Operations composed of few and large ones, for backends on which a call is dear: gradients of their own, which recompute what
 * is cheap, and heads moved to the front by one transposition. Reads nothing back, so it runs where reading is asynchronous.
 */
export function composeKernels(primitives: Primitives): Composed {
  return {
    linear(x, weight, { bias, residual, transposeWeight = false }) {
      const inputs = [x, weight, bias, residual].filter((tensor) => tensor !== undefined);
      return differentiable(inputs, (save) => {
        save([x, weight]);
        let value: tf.Tensor2D = tf.matMul(x, weight, false, transposeWeight);
        if (bias) value = primitives.addRow(value, bias);
        if (residual) value = tf.add(value, residual);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, weight] = saved as [tf.Tensor2D, tf.Tensor2D];
          const gradients: (() => tf.Tensor)[] = [() => tf.matMul(dy, weight, false, !transposeWeight)];
          gradients.push(() => (transposeWeight ? tf.matMul(dy, x, true, false) : tf.matMul(x, dy, true, false)));
          if (bias) gradients.push(() => primitives.columnSums(dy));
          if (residual) gradients.push(() => dy.clone());
          return gradients;
        };
        return { value, gradient };
      });
    },

    attention(qkv, batch, shape) {
      if (!isOrdinary(shape)) return plainKernels.attention(qkv, batch, shape);
      const { heads } = shape;
      const [rows, packed] = qkv.shape;
      const [length, width] = [rows / batch, packed / 3 / heads];
      const scale = 1 / Math.sqrt(width);
      return differentiable([qkv], (save) => {
        const [query, key, value] = headsFirst(qkv, batch, heads);
        const scores = tf.matMul(tf.mul(query, scale), key, false, true);
        const probabilities = primitives.softmax(tf.add(scores, causalMask(length)));
        const mixed = headsLast(tf.matMul(probabilities, value), rows);
        save([query, key, value, probabilities, mixed]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [query, key, value, probabilities, mixed] = saved as tf.Tensor3D[] as [
            ...[tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D],
            tf.Tensor2D,
          ];
          const dMixed = tf.transpose(tf.reshape(dy, [rows, heads, width]), [1, 0, 2]);
          const dBlocks = tf.reshape(dMixed, value.shape);
          // sum_j p_ij dp_ij = sum_d y_id dy_id: the row sums of the softmax gradient, from the smaller tensors.
          const sums = tf.sum(tf.reshape(tf.mul(dy, mixed), [rows, heads, width]), -1);
          const along = tf.reshape(tf.transpose(sums), [heads * batch, length, 1]);
          const dScores = tf.mul(tf.sub(tf.matMul(dBlocks, value, false, true), along), probabilities);
          const parts = [
            tf.mul(tf.matMul(dScores, key), scale),
            tf.mul(tf.matMul(dScores, query, true, false), scale),
            tf.matMul(probabilities, dBlocks, true, false),
          ];
          const together = tf.reshape(tf.concat(parts, 0), [3 * heads, rows, width]);
          return [tf.reshape(tf.transpose(together, [1, 0, 2]), [rows, packed])];
        };
        return { value: mixed, gradient };
      });
    },

    cachedAttention(qkv, cache, starts, shape) {
      if (!isOrdinary(shape)) return plainKernels.cachedAttention(qkv, cache, starts, shape);
      const { heads } = shape;
      return tf.tidy(() => {
        const { batch, capacity } = cache;
        const [rows, packed] = qkv.shape;
        const [length, width] = [rows / batch, packed / 3 / heads];
        const parts = tf.split(qkv, 3, 1).map((part) => blocks(part, batch, heads)) as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const places = cachePlaces(cache, starts, length, heads);
        const write = (kept: tf.Tensor, part: tf.Tensor) =>
          primitives.replaceRows(kept, places, tf.reshape(part, [places.length, width]));
        cache.keys = write(cache.keys, parts[1]);
        cache.values = write(cache.values, parts[2]);
        const span = starts.reduce((a, b) => Math.max(a, b)) + length;
        const used = (kept: tf.Tensor) => {
          const all = tf.reshape(kept, [batch * heads, capacity, width]);
          return 2 * span > capacity ? all : tf.slice(all, [0, 0, 0], [-1, span, -1]);
        };
        const [keys, values] = [used(cache.keys), used(cache.values)] as [tf.Tensor3D, tf.Tensor3D];
        const query = tf.reshape(tf.mul(parts[0], 1 / Math.sqrt(width)), [batch * heads, length, width]);
        const mask = cacheMask(starts, length, keys.shape[1], heads);
        const scores = tf.matMul(query, keys, false, true);
        const probabilities = primitives.softmax(tf.add(scores, tf.tensor(mask, scores.shape)));
        const mixed = tf.matMul(probabilities, values);
        if (length === 1) return tf.reshape(mixed, [rows, packed / 3]);
        const perRow = tf.transpose(tf.reshape(mixed, [batch, heads, length, width]), [0, 2, 1, 3]);
        return tf.reshape(perRow, [rows, packed / 3]);
      });
    },

    growCache: plainKernels.growCache,
    rotate: plainKernels.rotate,
    rmsNorm: plainKernels.rmsNorm,
    silu: plainKernels.silu,

    layerNorm(x, gain, bias, epsilon) {
      return differentiable([x, gain, bias], (save) => {
        save([x, gain]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, gain] = saved as [tf.Tensor2D, tf.Tensor1D];
          const [standardised, inverseDeviation] = primitives.standardise(x, epsilon);
          // dx = (g - mean(g) - s mean(g s)) / deviation with g = dy gain and s the standardised x
          const along: tf.Tensor2D = tf.mul(dy, standardised);
          const weighted: tf.Tensor2D = tf.mul(dy, gain);
          const centred = tf.sub(weighted, primitives.rowMeans(weighted));
          const projected = tf.mul(standardised, primitives.rowMeans(tf.mul(along, gain)));
          const dx = tf.mul(tf.sub(centred, projected), inverseDeviation);
          return [dx, primitives.columnSums(along), primitives.columnSums(dy)];
        };
        return { value: primitives.layerNorm(x, gain, bias, epsilon), gradient };
      });
    },

    gelu(x) {
      const root = Math.sqrt(2 / Math.PI);
      return differentiable([x], (save, isRecorded) => {
        const square = tf.square(x);
        const tanh = tf.tanh(tf.mul(tf.add(tf.mul(square, 0.044715 * root), root), x)) as tf.Tensor2D;
        const share = tf.add(tf.mul(tanh, 0.5), 0.5);
        const value = tf.mul(x, share) as tf.Tensor2D;
        if (!isRecorded) return { value };
        const inner = tf.mul(tf.add(tf.mul(square, 1.5 * 0.044715 * root), 0.5 * root), x) as tf.Tensor2D;
        // The slope alone is kept, one tensor and not two.
        save([tf.add(share, primitives.tanhGradient(tanh, inner))]);
        return { value, gradient: (dy: tf.Tensor2D, [slope]: tf.Tensor[]) => [tf.mul(dy, slope as tf.Tensor)] };
      });
    },

    logProbability(logits, ids) {
      const [rows, size] = logits.shape;
      return differentiable([logits], (save) => {
        const logs = primitives.logSoftmax(logits);
        save([logs]);
        const chosen = ids.map((id, row) => row * size + id);
        const flat = tf.reshape(logs, [rows * size, 1]) as tf.Tensor2D;
        const value = tf.reshape(primitives.gatherRows(flat, chosen), [rows]) as tf.Tensor1D;
        const gradient = (dy: tf.Tensor1D, [logs]: tf.Tensor[]) => {
          const spread = tf.mul(tf.exp(logs as tf.Tensor), tf.reshape(tf.neg(dy), [rows, 1])) as tf.Tensor2D;
          return [primitives.addAt(spread, ids, dy)];
        };
        return { value, gradient };
      });
    },

    entropy(logits) {
      return differentiable([logits], (save) => {
        const logs = primitives.logSoftmax(logits);
        const value = tf.neg(tf.sum(tf.mul(tf.exp(logs), logs), -1)) as tf.Tensor1D;
        save([logs, value]);
        const gradient = (dy: tf.Tensor1D, saved: tf.Tensor[]) => {
          const [logs, value] = saved as [tf.Tensor2D, tf.Tensor1D];
          const column = (x: tf.Tensor) => tf.reshape(x, [x.size, 1]);
          return [tf.mul(tf.mul(tf.exp(logs), tf.add(logs, column(value))), column(tf.neg(dy)))];
        };
        return { value, gradient };
      });
    },

    embedding(table, ids, positions?: PositionRows) {
      const shapes = [table.shape, ...(positions ? [positions.table.shape] : [])];
      return differentiable(positions ? [table, positions.table] : [table], () => {
        const rows = primitives.gatherRows(table, ids);
        const value = positions ? tf.add(rows, primitives.gatherRows(positions.table, positions.ids)) : rows;
        const gradient = (dy: tf.Tensor2D) =>
          shapes.map((shape, i) => primitives.scatterRows(dy, i === 0 ? ids : positions!.ids, shape));
        return { value: value as tf.Tensor2D, gradient };
      });
    },
  };
}

/** The primitives in operations that every backend of TensorFlow.js has. */
export const plainPrimitives: Primitives = {
  addRow: (x, row) => tf.add(x, row),
  columnSums: (x) => tf.sum(x, 0),
  rowMeans: (x) => tf.mean(x, -1, true),
  softmax: (x) => tf.softmax(x),
  logSoftmax: (x) => tf.logSoftmax(x),
  layerNorm: (x, gain, bias, epsilon) => tf.add(tf.mul(plainPrimitives.standardise(x, epsilon)[0], gain), bias),
  standardise(x, epsilon) {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const inverseDeviation = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon)) as tf.Tensor2D;
    return [tf.mul(centred, inverseDeviation), inverseDeviation];
  },
  tanhGradient: (y, dy) => tf.mul(dy, tf.sub(1, tf.square(y))),
  addAt(x, ids, values) {
    const places = new Int32Array(2 * ids.length);
    ids.forEach((id, row) => places.set([row, id], 2 * row));
    return tf.add(x, tf.scatterND(tf.tensor2d(places, [ids.length, 2], 'int32'), values, x.shape));
  },
  gatherRows: (table, ids) => tf.gather(table, tf.tensor1d(ids, 'int32')),
  scatterRows: (dy, ids, shape) => tf.scatterND(tf.tensor2d(ids, [ids.length, 1], 'int32'), dy, shape),
  replaceRows(kept, ids, rows) {
    const all = tf.reshape(kept, [kept.size / rows.shape[1], rows.shape[1]]);
    const written = tf.tensorScatterUpdate(all, tf.tensor2d(ids, [ids.length, 1], 'int32'), rows);
    const replaced = tf.keep(tf.reshape(written, kept.shape));
    kept.dispose();
    return replaced;
  },
};

/** The packed [B*T, 3H] as query, key and value, each [heads*B, T, H/heads]: views of one transposed tensor. */
function headsFirst(qkv: tf.Tensor2D, batch: number, heads: number): [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D] {
  const [rows, packed] = qkv.shape;
  const width = packed / 3 / heads;
  const turned = tf.transpose(tf.reshape(qkv, [rows, 3 * heads, width]), [1, 0, 2]);
  return tf.split(tf.reshape(turned, [3 * heads * batch, rows / batch, width]), 3, 0) as [
    ...[tf.Tensor3D, tf.Tensor3D, tf.Tensor3D],
  ];
}

/** [heads*B, T, W] to [B*T, heads*W]. */
function headsLast(mixed: tf.Tensor, rows: number): tf.Tensor2D {
  const width = mixed.shape.at(-1)!;
  const heads = mixed.size / rows / width;
  return tf.reshape(tf.transpose(tf.reshape(mixed, [heads, rows, width]), [1, 0, 2]), [rows, heads * width]);
}

/** [B*T, H] with the values in the order [B, heads, T, H/heads]. */
function blocks(part: tf.Tensor, batch: number, heads: number): tf.Tensor {
  const [rows, hidden] = part.shape as [number, number];
  if (rows === batch) return part;
  return tf.transpose(tf.reshape(part, [batch, rows / batch, heads, hidden / heads]), [0, 2, 1, 3]);
}

const masked = -1e9;
let lastMask: { length: number; values: Float32Array } | undefined;

/** [1, T, T]: 0 on and below the diagonal, far below every score above it. The values of the last length are remembered. */
function causalMask(length: number): tf.Tensor3D {
  if (lastMask?.length !== length) {
    const values = new Float32Array(length * length);
    for (let t = 0; t < length; t++) values.fill(masked, t * length + t + 1, (t + 1) * length);
    lastMask = { length, values };
  }
  return tf.tensor3d(lastMask.values, [1, length, length]);
}

/** [B, heads, T, span]: 0 where the token at position starts + t may look. */
export function cacheMask(starts: Int32Array, length: number, span: number, heads: number): Float32Array {
  const values = new Float32Array(starts.length * heads * length * span);
  for (let row = 0; row < values.length / span; row++) {
    const start = starts[Math.floor(row / heads / length)] as number;
    values.fill(masked, row * span + start + (row % length) + 1, (row + 1) * span);
  }
  return values;
}

/** Where the new tokens of each row and head go, the cache read as [B*heads*capacity, H/heads]. */
export function cachePlaces(
  { batch, capacity }: KeyValueCache,
  starts: Int32Array,
  length: number,
  heads: number,
): Int32Array {
  const places = new Int32Array(batch * heads * length);
  for (let block = 0; block < batch * heads; block++) {
    const first = block * capacity + (starts[Math.floor(block / heads)] as number);
    for (let t = 0; t < length; t++) places[block * length + t] = first + t;
  }
  return places;
}
