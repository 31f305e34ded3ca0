import * as tf from '@tensorflow/tfjs';
import { composeAttention } from './composed-attention';
import { differentiable, isFrozen } from './differentiable';
import type { Kernels, PositionRows } from './kernels';

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
  tanhGradient<Values extends tf.Tensor>(y: Values, dy: Values): Values;
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
        // A frozen weight is there as long as its model, and x is needed for the weight's gradient alone.
        if (!isFrozen(weight)) save([x, weight]);
        let value: tf.Tensor2D = tf.matMul(x, weight, false, transposeWeight);
        if (bias) value = primitives.addRow(value, bias);
        if (residual) value = tf.add(value, residual);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, kept = weight] = saved as [tf.Tensor2D, tf.Tensor2D?];
          const gradients: (() => tf.Tensor)[] = [() => tf.matMul(dy, kept, false, !transposeWeight)];
          gradients.push(() => (transposeWeight ? tf.matMul(dy, x, true, false) : tf.matMul(x, dy, true, false)));
          if (bias) gradients.push(() => primitives.columnSums(dy));
          if (residual) gradients.push(() => dy.clone());
          return gradients;
        };
        return { value, gradient };
      });
    },

    ...composeAttention(primitives),

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
          return [dx, () => primitives.columnSums(along), () => primitives.columnSums(dy)];
        };
        return { value: primitives.layerNorm(x, gain, bias, epsilon), gradient };
      });
    },

    rmsNorm(x, gain, epsilon, gainOffset) {
      return differentiable([x, gain], (save) => {
        const inverse = tf.rsqrt(tf.add(primitives.rowMeans(tf.square(x)), epsilon)) as tf.Tensor2D;
        const factors = (gain: tf.Tensor) => (gainOffset === 0 ? gain : tf.add(gain, gainOffset));
        save([x, gain, inverse]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, gain, inverse] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor2D];
          // dx = (g - n mean(g n)) inverse with g = dy gain and n the normed x
          const normed = tf.mul<tf.Tensor2D>(x, inverse);
          const along = tf.mul<tf.Tensor2D>(dy, normed);
          const dx = () => {
            const projected = tf.mul(normed, primitives.rowMeans(tf.mul(along, factors(gain))));
            return tf.mul(tf.sub(tf.mul(dy, factors(gain)), projected), inverse);
          };
          return [dx, () => primitives.columnSums(along)];
        };
        return { value: tf.mul<tf.Tensor2D>(tf.mul(x, inverse), factors(gain)), gradient };
      });
    },

    rotate(packed, { cosines, sines }, rotated) {
      return differentiable([packed], (save) => {
        save([cosines, sines]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [cosines, sines] = saved as [tf.Tensor2D, tf.Tensor2D];
          return [turn(dy, cosines, tf.neg(sines), rotated)];
        };
        return { value: turn(packed, cosines, sines, rotated), gradient };
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

    silu(x) {
      return differentiable([x], (save, isRecorded) => {
        const share = tf.sigmoid(x);
        const value = tf.mul<tf.Tensor2D>(x, share);
        // s + x s (1 - s); the slope alone is kept.
        if (isRecorded) save([tf.add(share, tf.sub(value, tf.mul(value, share)))]);
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
          shapes.map((shape, i) => () => primitives.scatterRows(dy, i === 0 ? ids : positions!.ids, shape));
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

/** The first `rotated` heads of each row turned by their angles, the others as they are. */
function turn(packed: tf.Tensor2D, cosines: tf.Tensor2D, sines: tf.Tensor2D, rotated: number): tf.Tensor2D {
  const [rows, width] = packed.shape;
  const half = cosines.shape[1];
  const turnedWidth = 2 * half * rotated;
  const all = turnedWidth === width;
  const left = all ? packed : tf.slice(packed, [0, 0], [rows, turnedWidth]);
  // Halves of a head [2, W / 2] and, for the sines, the two changed about: [a, b] cos + [b, a] [-sin, sin].
  const halves = tf.reshape(left, [rows, rotated, 2, half]);
  const cosine = tf.reshape(cosines, [rows, 1, 1, half]);
  const sine = tf.reshape(tf.concat2d([tf.neg(sines), sines], 1), [rows, 1, 2, half]);
  const turned = tf.add(tf.mul(halves, cosine), tf.mul(tf.reverse(halves, 2), sine));
  const heads: tf.Tensor2D = tf.reshape(turned, [rows, turnedWidth]);
  return all ? heads : tf.concat2d([heads, tf.slice(packed, [0, turnedWidth], [rows, width - turnedWidth])], 1);
}
