// One block of a decoder, as GPT-2 has it or as Llama does: grouped heads, rotary embedding, RMS norm, gated SiLU.
import {
  attention,
  gelu,
  layerNorm,
  linear,
  randomStream,
  rmsNorm,
  rotaryAngles,
  rotate,
  silu,
  valueAndGradients,
} from '@surefoot/tensor';
import { sizes } from '../sizes.mjs';
import { tf } from './tfjs.mjs';

export const gpt2Block = ({ size }) => forward(gpt2(sizes[size]), sizes[size]);
export const gpt2BlockGradient = ({ size }) => forwardAndBackward(gpt2(sizes[size]), sizes[size]);
export const llamaBlock = ({ size }) => forward(llama(sizes[size]), sizes[size]);
export const llamaBlockGradient = ({ size }) => forwardAndBackward(llama(sizes[size]), sizes[size]);

function gpt2({ hiddenSize, heads, rows }) {
  const norm = () => ({ gain: parameter([hiddenSize]), bias: parameter([hiddenSize]) });
  const dense = (from, to) => ({ weight: parameter([from, to]), bias: parameter([to]) });
  const [first, second] = [norm(), norm()];
  const [packed, mixed] = [dense(hiddenSize, 3 * hiddenSize), dense(hiddenSize, hiddenSize)];
  const [wide, narrow] = [dense(hiddenSize, 4 * hiddenSize), dense(4 * hiddenSize, hiddenSize)];
  const run = (x) => {
    const qkv = linear(layerNorm(x, first.gain, first.bias), packed.weight, packed);
    const seen = linear(attention(qkv, { batch: rows, heads }), mixed.weight, { ...mixed, residual: x });
    const inner = gelu(linear(layerNorm(seen, second.gain, second.bias), wide.weight, wide));
    return linear(inner, narrow.weight, { ...narrow, residual: seen });
  };
  return { run, parameters: [first, second, packed, mixed, wide, narrow].flatMap(Object.values) };
}

/** Two query heads a key head; a feed-forward layer of as many numbers as GPT-2's. */
function llama({ hiddenSize, heads, rows, tokens }) {
  const [keyHeads, headWidth] = [heads / 2, hiddenSize / heads];
  const inner = Math.round((8 * hiddenSize) / 3);
  const [first, second] = [parameter([hiddenSize]), parameter([hiddenSize])];
  const projections = [heads, keyHeads, keyHeads].map((count) => parameter([count * headWidth, hiddenSize]));
  const mixed = parameter([hiddenSize, hiddenSize]);
  const [gate, up, down] = [
    [inner, hiddenSize],
    [inner, hiddenSize],
    [hiddenSize, inner],
  ].map(parameter);
  const positions = Int32Array.from({ length: rows * tokens }, (_, i) => i % tokens);
  const frequencies = Float32Array.from({ length: headWidth / 2 }, (_, i) => 1e4 ** ((-2 * i) / headWidth));
  const stored = { transposeWeight: true };
  const run = (x) => {
    const normed = rmsNorm(x, first, { epsilon: 1e-6 });
    const packed = tf.concat2d(
      projections.map((weight) => linear(normed, weight, stored)),
      1,
    );
    const turned = rotate(packed, rotaryAngles(positions, frequencies), { rotated: heads + keyHeads });
    const seen = linear(attention(turned, { batch: rows, heads, keyHeads }), mixed, { ...stored, residual: x });
    const again = rmsNorm(seen, second, { epsilon: 1e-6 });
    const gated = tf.mul(silu(linear(again, gate, stored)), linear(again, up, stored));
    return linear(gated, down, { ...stored, residual: seen });
  };
  return { run, parameters: [first, second, ...projections, mixed, gate, up, down] };
}

function forward({ run, parameters }, { rows, tokens, hiddenSize }) {
  const x = parameter([rows * tokens, hiddenSize]);
  return {
    run: async () => {
      const y = tf.tidy(() => run(x));
      await y.data();
      y.dispose();
    },
    dispose: () => tf.dispose([x, parameters]),
  };
}

function forwardAndBackward({ run, parameters }, { rows, tokens, hiddenSize }) {
  const x = parameter([rows * tokens, hiddenSize]);
  return {
    run: async () => {
      const { value, gradients } = valueAndGradients(() => tf.sum(run(x)), [x, ...parameters]);
      await value.data();
      tf.dispose([value, gradients]);
    },
    dispose: () => tf.dispose([x, parameters]),
  };
}

function parameter(shape) {
  const random = randomStream(1, `bench ${shape}`);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.05 * random.normal());
  return tf.tidy(() => tf.variable(tf.tensor(values, shape)));
}
