import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import { composeKernels, plainPrimitives, type Primitives } from '../composed-kernels';
import { differentiable } from '../differentiable';
import type { AdamWStep, Kernels } from '../kernels';
import { separateMoments } from '../moments';
import { runElements, runInPlace, runRows, webgpuBackend } from './shader';
import * as shaders from './shaders';

/** What TensorFlow.js computes on WebGPU in many steps, in an order that changes, or not for large tensors. */
const primitives: Primitives = {
  ...plainPrimitives,
  columnSums,
  softmax: (x) => rowwise(shaders.softmax, [x], x.shape) as tf.Tensor,
  logSoftmax: (x) => rowwise(shaders.logSoftmax, [x], x.shape) as tf.Tensor2D,

  addAt(x, ids, values) {
    const at = tf.tensor1d(ids, 'int32');
    return runElements<tf.Rank.R2>(shaders.addAt, [x, at, values], x.shape, [x.shape[1]]);
  },

  gatherRows(table, ids) {
    const host = valuesTooLarge(table);
    if (!host) return tf.gather(table, tf.tensor1d(ids, 'int32'));
    const width = table.shape[1];
    const rows = new Float32Array(ids.length * width);
    ids.forEach((id, row) => rows.set(host.subarray(id * width, (id + 1) * width), row * width));
    return tf.tensor2d(rows, [ids.length, width]);
  },

  scatterRows(dy, ids, shape) {
    const { starts, order } = rowsById(ids, shape[0]);
    const inputs = [dy, tf.tensor1d(starts, 'int32'), tf.tensor1d(order, 'int32')];
    return runElements<tf.Rank.R2>(shaders.scatterRows, inputs, shape, [shape[1]]);
  },

  replaceRows(kept, ids, rows) {
    runInPlace(shaders.replaceRows, kept, [rows, tf.tensor1d(ids, 'int32')], rows.size, [rows.shape[1]]);
    return kept;
  },
};

const composed = composeKernels(primitives);

/** The operations for WebGPU: few dispatches, each with a gradient of its own, and sums in an order that never changes. */
export const webgpuKernels: Kernels = {
  ...composed,

  linear(x, weight, options) {
    return valuesTooLarge(weight) ? linearInParts(x, weight, options) : composed.linear(x, weight, options);
  },

  layerNorm(x, gain, bias, epsilon) {
    return differentiable([x, gain, bias], (save) => {
      save([x, gain]);
      const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [x, gain] = saved as [tf.Tensor2D, tf.Tensor1D];
        const along = rowwise(shaders.normTimes, [x, dy], x.shape, [epsilon]) as tf.Tensor2D;
        const dx = rowwise(shaders.layerNormGradient, [x, gain, dy], x.shape, [epsilon]);
        return [dx, columnSums(along), columnSums(dy)];
      };
      return { value: rowwise(shaders.layerNorm, [x, gain, bias], x.shape, [epsilon]) as tf.Tensor2D, gradient };
    });
  },

  gelu(x) {
    return differentiable([x], (save) => {
      save([x]);
      const gradient = (dy: tf.Tensor2D, [x]: tf.Tensor[]) => [runElements(shaders.geluGradient, [x!, dy], dy.shape)];
      return { value: runElements<tf.Rank.R2>(shaders.gelu, [x], x.shape), gradient };
    });
  },

  logProbability(logits, ids) {
    return differentiable([logits], (save) => {
      save([logits]);
      const chosen = () => tf.tensor1d(ids, 'int32');
      const gradient = (dy: tf.Tensor1D, [logits]: tf.Tensor[]) => [
        rowwise(shaders.logProbabilityGradient, [logits!, chosen(), dy], logits!.shape),
      ];
      return { value: rowwise(shaders.logProbability, [logits, chosen()], [ids.length]) as tf.Tensor1D, gradient };
    });
  },

  entropy(logits) {
    return differentiable([logits], (save) => {
      save([logits]);
      const gradient = (dy: tf.Tensor1D, [logits]: tf.Tensor[]) => [
        rowwise(shaders.entropyGradient, [logits!, dy], logits!.shape),
      ];
      return { value: rowwise(shaders.entropy, [logits], [logits.shape[0]]) as tf.Tensor1D, gradient };
    });
  },

  async sumOfSquares(tensors) {
    if (tensors.length === 0) return 0;
    // float32 within a part, float64 over all of them, and one read.
    const sums = tf.tidy(() => tf.concat1d(tensors.map(partsOfSquares)));
    try {
      const values = (await sums.data()) as Float32Array;
      return values.reduce((sum, value) => sum + value, 0);
    } finally {
      sums.dispose();
    }
  },

  adamw: (parameters) => separateMoments(parameters, updateInPlace),
};

/** A shader on the rows of its first input, however many axes that has. */
function rowwise(shader: shaders.RowShader, inputs: tf.Tensor[], shape: number[], numbers: number[] = []): tf.Tensor {
  const width = inputs[0]!.shape.at(-1) as number;
  const rows = inputs[0]!.size / width;
  // Sharing costs more than it saves where rows are narrow.
  const lanes = width <= 128 ? 1 : width < 1024 ? 64 : 256;
  return runRows(shader, inputs, { rows, lanes, shape: shape as [number] }, [width, ...numbers]);
}

function partsOfSquares(x: tf.Tensor): tf.Tensor1D {
  const parts = Math.min(4096, Math.ceil(x.size / 64));
  return runElements<tf.Rank.R1>(shaders.sumOfSquares, [x], [parts], [x.size, parts]);
}

function columnSums(x: tf.Tensor2D): tf.Tensor1D {
  const [rows, width] = x.shape;
  const { columns } = shaders.columnSums;
  const layout = { rows: Math.ceil(width / columns), lanes: 64, shape: [width] as [number] };
  return runRows<tf.Rank.R1>(shaders.columnSums, [x], layout, [width, rows]);
}

/** Where the rows with each id stand: `order` from `starts[id]` to `starts[id + 1]`, in the order they came in. */
function rowsById(ids: Int32Array, count: number): { starts: Int32Array; order: Int32Array } {
  const starts = new Int32Array(count + 1);
  for (const id of ids) starts[id + 1]! += 1;
  for (let id = 0; id < count; id++) starts[id + 1]! += starts[id]!;
  const next = starts.slice();
  const order = new Int32Array(ids.length);
  ids.forEach((id, row) => (order[next[id]!++] = row));
  return { starts, order };
}

/** Where old values are shared with another tensor, the variable gets new ones and the other keeps them. */
function updateInPlace(
  parameter: tf.Variable,
  first: tf.Variable,
  second: tf.Variable,
  gradient: tf.Tensor,
  { beta1, beta2, rate, decay, rootScale, epsilon }: AdamWStep,
): void {
  const write = (shader: typeof shaders.adamw, target: tf.Variable, inputs: tf.Tensor[], numbers: number[]) => {
    if (webgpuBackend().refCount(target.dataId) > 1) tf.tidy(() => target.assign(tf.mul(target, 1)));
    runInPlace(shader, target, inputs, target.size, numbers);
  };
  write(shaders.movingMean, first, [gradient], [beta1, 1 - beta1]);
  write(shaders.movingSquare, second, [gradient], [beta2, 1 - beta2]);
  write(shaders.adamw, parameter, [first, second], [rate, decay, rootScale, epsilon]);
}

/**
 * The values of a tensor that does not fit in one buffer of the device: they have never left the host, since nothing could have
 * computed them there.
 */
function valuesTooLarge(tensor: tf.Tensor): Float32Array | undefined {
  const backend = webgpuBackend();
  if (4 * tensor.size <= backend.largestTensor) return undefined;
  return backend.tensorMap.get(tensor.dataId).values as Float32Array;
}

/** The columns of the result in as many parts as the weight has to be uploaded in. */
function linearInParts(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  { bias, residual, transposeWeight = false }: Parameters<Kernels['linear']>[2],
): tf.Tensor2D {
  const bytes = 4 * weight.size;
  const { largestTensor } = webgpuBackend();
  if (!transposeWeight || tf.engine().state.gradientDepth > 0)
    throw new DomainError(
      'resource_exhausted',
      `a weight of ${bytes} bytes does not fit in one buffer of this WebGPU device, which has ${largestTensor} at most: such a ` +
        'weight can be used, stored by outputs, but not trained; use backend tensorflow',
    );
  const values = valuesTooLarge(weight) as Float32Array;
  const [outputs, width] = weight.shape;
  const rows = Math.max(1, Math.floor(largestTensor / 4 / width));
  return tf.tidy(() => {
    const parts: tf.Tensor2D[] = [];
    for (let from = 0; from < outputs; from += rows) {
      const count = Math.min(rows, outputs - from);
      const part = tf.tensor2d(values.subarray(from * width, (from + count) * width), [count, width]);
      parts.push(tf.matMul(x, part, false, true));
      part.dispose();
    }
    let y = tf.concat2d(parts, 1);
    if (bias) y = tf.add(y, bias);
    return residual ? tf.add(y, residual) : y;
  });
}
