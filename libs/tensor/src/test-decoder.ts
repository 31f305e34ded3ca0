import * as tf from '@tensorflow/tfjs';
import { attention } from './attention';
import { gelu, layerNorm, linear } from './dense';
import { randomStream } from './random-stream';
import { embedding, logProbability } from './tokens';

/** A decoder of our operations, just large enough for the tests of bits and of training. */
export interface TestDecoder {
  parameters: tf.Variable[];
  /** [B*T, H] after the last norm */
  hidden(ids: Int32Array, batch: number): tf.Tensor2D;
  /** [B*T, V] */
  logits(ids: Int32Array, batch: number): tf.Tensor2D;
  /** Mean of -log p of the targets. */
  loss(ids: Int32Array, targets: Int32Array, batch: number): tf.Scalar;
}

export function createTestDecoder(sizes: {
  vocabulary: number;
  positions: number;
  width: number;
  layers: number;
  heads: number;
}): TestDecoder {
  const { vocabulary, positions, width, layers, heads } = sizes;
  const random = randomStream(17, 'test decoder');
  const parameters: tf.Variable[] = [];
  const parameter = (shape: number[], scale: number, shift = 0) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => shift + scale * random.normal());
    const variable = tf.tidy(() => tf.variable(tf.tensor(values, shape)));
    parameters.push(variable);
    return variable;
  };
  const matrix = (rows: number, columns: number) => parameter([rows, columns], 1 / Math.sqrt(rows)) as tf.Tensor2D;
  const dense = (rows: number, columns: number) => ({ weight: matrix(rows, columns), bias: row(columns) });
  const row = (size: number) => parameter([size], 0.1) as tf.Tensor1D;
  const norm = () => ({ gain: parameter([width], 0.1, 1) as tf.Tensor1D, bias: row(width) });
  const tokens = parameter([vocabulary, width], 0.5) as tf.Tensor2D;
  const places = parameter([positions, width], 0.5) as tf.Tensor2D;
  const blocks = Array.from({ length: layers }, () => ({
    first: norm(),
    packed: dense(width, 3 * width),
    mixed: dense(width, width),
    second: norm(),
    wide: dense(width, 4 * width),
    narrow: dense(4 * width, width),
  }));
  const last = norm();

  function hidden(ids: Int32Array, batch: number): tf.Tensor2D {
    const length = ids.length / batch;
    let x = embedding(tokens, ids, { table: places, ids: Int32Array.from(ids, (_, i) => i % length) });
    for (const { first, packed, mixed, second, wide, narrow } of blocks) {
      const qkv = linear(layerNorm(x, first.gain, first.bias), packed.weight, packed);
      x = linear(attention(qkv, { batch, heads }), mixed.weight, { ...mixed, residual: x });
      const inner = gelu(linear(layerNorm(x, second.gain, second.bias), wide.weight, wide));
      x = linear(inner, narrow.weight, { ...narrow, residual: x });
    }
    return layerNorm(x, last.gain, last.bias);
  }

  const logits = (ids: Int32Array, batch: number) => linear(hidden(ids, batch), tokens, { transposeWeight: true });
  const loss = (ids: Int32Array, targets: Int32Array, batch: number) =>
    tf.neg(tf.mean(logProbability(logits(ids, batch), targets))) as tf.Scalar;
  return { parameters, hidden, logits, loss };
}

/** Ids 0..below-1. */
export function randomIds(count: number, below: number, seed: number): Int32Array {
  const random = randomStream(seed, 'ids');
  return Int32Array.from({ length: count }, () => random.integer(below));
}

/** Normal floats. */
export function randomFloats(count: number, seed: number): Float32Array {
  const random = randomStream(seed, 'floats');
  return Float32Array.from({ length: count }, () => random.normal());
}
