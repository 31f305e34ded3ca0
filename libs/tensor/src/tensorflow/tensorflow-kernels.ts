import * as tf from '@tensorflow/tfjs';
import { composeKernels } from '../composed-kernels';
import { isRecording } from '../differentiable';
import type { Kernels } from '../kernels';
import { attendToCache } from './attend-to-cache';
import { bfloat16Embedding, bfloat16Linear, isBfloat16 } from './bfloat16';
import { chain } from './chain';
import { mapFile } from './mapped-file';
import { tensorflowPrimitives } from './primitives';
import { intAttribute, run } from './raw-ops';
import { resourceMoments } from './resource-moments';

const composed = composeKernels(tensorflowPrimitives);

/** The operations as native TensorFlow computes them fastest, with gradients of our own. */
export const tensorflowKernels: Kernels = {
  ...composed,

  linear: (x, weight, options) => (isBfloat16(weight) ? bfloat16Linear : composed.linear)(x, weight, options),
  embedding: (table, ids, positions) =>
    (isBfloat16(table) || (positions && isBfloat16(positions.table)) ? bfloat16Embedding : composed.embedding)(
      table,
      ids,
      positions,
    ),

  gelu: (x) => (isRecording() ? composed.gelu(x) : geluChain(x)),

  cachedAttention: (packed, cache, starts, heads) =>
    (packed.shape[0] === cache.batch ? attendToCache : composed.cachedAttention)(packed, cache, starts, heads),

  async sumOfSquares(tensors) {
    if (tensors.length === 0) return 0;
    // float32 within a tensor, where TensorFlow adds pairs of parts; float64 over all of them.
    const halves = tf.tidy(() => {
      const parts = tensors.map((tensor) => run<tf.Scalar>('L2Loss', [tensor]));
      return run<tf.Tensor1D>('Pack', parts, intAttribute('N', parts.length));
    });
    try {
      const values = (await halves.data()) as Float32Array;
      return 2 * values.reduce((sum, half) => sum + half, 0);
    } finally {
      halves.dispose();
    }
  },

  adamw: resourceMoments,
  mapFile,
};

/** The value alone: what the composed kernel computes, without tensors in between. */
function geluChain(x: tf.Tensor2D): tf.Tensor2D {
  const root = Math.sqrt(2 / Math.PI);
  return chain(x.shape, ({ of, scalar, run }) => {
    const half = scalar(0.5);
    const slope = run('AddV2', [run('Mul', [run('Square', [of(x)]), scalar(0.044715 * root)]), scalar(root)]);
    const tanh = run('Tanh', [run('Mul', [slope, of(x)])]);
    return run('Mul', [of(x), run('AddV2', [run('Mul', [tanh, half]), half])]);
  });
}
