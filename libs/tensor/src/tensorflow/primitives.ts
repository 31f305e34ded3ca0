import * as tf from '@tensorflow/tfjs';
import { plainPrimitives, type Primitives } from '../composed-kernels';
import { floatAttribute, floatType, intType, nativeBackend, run, stringAttribute, type Attribute } from './raw-ops';

/** What native TensorFlow has one operation for. */
export const tensorflowPrimitives: Primitives = {
  ...plainPrimitives,
  addRow: (x, row) => run('BiasAdd', [x, row]),
  columnSums: (x) => run('BiasAddGrad', [x]),
  logSoftmax: (x) => run('LogSoftmax', [x]),
  tanhGradient: (y, dy) => run('TanhGrad', [y, dy]),

  softmax(x) {
    const [name, ...attributes] = softmaxOperation();
    return run(name, [x], ...attributes);
  },

  layerNorm(x, gain, bias, epsilon) {
    if (!hasOneDnn()) return plainPrimitives.layerNorm(x, gain, bias, epsilon);
    return run('_MklLayerNorm', [x, gain, bias], floatAttribute('epsilon', epsilon), oneDnnKernel(''));
  },

  standardise(x, epsilon) {
    if (!hasOneDnn()) return plainPrimitives.standardise(x, epsilon);
    const width = x.shape[1];
    const standardised = tensorflowPrimitives.layerNorm(x, tf.ones([width]), tf.zeros([width]), epsilon);
    const variance = tf.mean(tf.squaredDifference(x, tf.mean(x, -1, true)), -1, true);
    return [standardised, tf.rsqrt(tf.add(variance, epsilon))];
  },

  addAt(x, ids, values) {
    const [rows, width] = x.shape;
    const places = tf.tensor1d(
      ids.map((id, row) => row * width + id),
      'int32',
    );
    // Writes into the values that x shares with its reshaped view.
    run('InplaceAdd', [tf.reshape(x, [rows * width, 1]), places, tf.reshape(values, [rows, 1])]);
    return x;
  },

  // Not tf.gather, which reads the ids back to check them; here they have been checked on the host.
  gatherRows: (table, ids) =>
    nativeBackend().executeSingleOutput(
      'GatherV2',
      [floatType('Tparams'), intType('Tindices'), intType('Taxis')],
      [table, tf.tensor1d(ids, 'int32'), tf.scalar(0, 'int32')],
    ) as tf.Tensor2D,

  scatterRows: (dy, ids, shape) =>
    run(
      'UnsortedSegmentSum',
      [dy, tf.tensor1d(ids, 'int32'), tf.scalar(shape[0], 'int32')],
      intType('Tindices'),
      intType('Tnumsegments'),
    ),

  replaceRows(kept, ids, rows) {
    const all = tf.reshape(kept, [kept.size / rows.shape[1], rows.shape[1]]);
    // Writes into the values that the kept tensor shares with its reshaped view.
    run('InplaceUpdate', [all, tf.tensor1d(ids, 'int32'), rows]);
    return kept;
  },
};

/** The operation of the softmax over the last axis, with its attributes. */
export function softmaxOperation(): [name: string, ...Attribute[]] {
  return hasOneDnn() ? ['_MklSoftmax', oneDnnKernel('MklNameChangeOp')] : ['Softmax'];
}

/** Without a label TensorFlow looks for the kernel of another name than it was registered by. */
function oneDnnKernel(label: string): Attribute {
  return stringAttribute('_kernel', label);
}

let oneDnn: { backend: tf.KernelBackend; works: boolean } | undefined;

/** Whether this TensorFlow computes on the CPU and has oneDNN's layer norm and softmax, tried once on known values. */
function hasOneDnn(): boolean {
  const backend = nativeBackend();
  if (oneDnn?.backend !== backend) {
    oneDnn = { backend, works: !backend.isUsingGpuDevice };
    if (oneDnn.works) oneDnn.works = tf.tidy(givesKnownValues);
  }
  return oneDnn.works;
}

/** (3, 5) has mean 4 and variance 1: with epsilon 3 it becomes -1/2, 1/2; two equal logits have probability 1/2. */
function givesKnownValues(): boolean {
  try {
    const x = tf.tensor2d([3, 5], [1, 2]);
    const normed = tensorflowPrimitives.layerNorm(x, tf.ones([2]), tf.zeros([2]), 3).dataSync();
    const halves = tensorflowPrimitives.softmax(tf.zeros([1, 2])).dataSync();
    return [...normed, ...halves].every((value, i) => Math.abs(value - [-0.5, 0.5, 0.5, 0.5][i]!) < 1e-6);
  } catch {
    return false;
  }
}
