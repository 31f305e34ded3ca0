import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { entropy, linear, logProbability, randomStream, valueAndGradients, vocabularyLogProbability } from './index';
import { testBackends } from './testing';

const [rows, width, size] = [5, 8, 23];
// 23 rows by chunks of 10: 10, 10, 3. Targets in each, two of them the same.
const ids = Int32Array.of(0, 9, 10, 22, 9);
const random = (name: string, shape: [number, number]) => {
  const values = new Float32Array(shape[0] * shape[1]);
  randomStream(3, name).normals(values, 1);
  return tf.tensor2d(values, shape);
};
/** A low-rank change of the table. */
const change = () => ({ x: tf.variable(random('low', [rows, 2])), table: tf.variable(random('b', [size, 2])) });
const cases: Case[] = [
  { title: 'plain', options: {} },
  { title: 'with a temperature', options: { temperature: 0.7 } },
  { title: 'with a cap and a temperature', options: { temperature: 1.3, softCap: 2 } },
  { title: 'with a change of the table', options: { temperature: 0.7 }, isChanged: true },
];
interface Case {
  title: string;
  options: { temperature?: number; softCap?: number };
  isChanged?: boolean;
}

/** The same by all logits at once. */
function whole(
  hidden: tf.Tensor2D,
  table: tf.Tensor2D,
  { temperature = 1, softCap }: Case['options'],
  more?: ReturnType<typeof change>,
) {
  const first = linear(hidden, table, { transposeWeight: true });
  const products = more ? linear(more.x, more.table, { transposeWeight: true, residual: first }) : first;
  const capped = softCap === undefined ? products : tf.mul(tf.tanh(tf.div(products, softCap)), softCap);
  const logits: tf.Tensor2D = tf.mul(capped, 1 / temperature);
  return { logProbability: logProbability(logits, ids), entropy: entropy(logits) };
}

describe.each(testBackends)('on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test.each(cases)(
    '$title: in chunks as by all logits at once, values and gradients',
    async ({ options, isChanged }) => {
      const hidden = tf.variable(random('hidden', [rows, width]));
      const table = tf.variable(random('table', [size, width]));
      const more = isChanged ? change() : undefined;
      const inputs = [hidden, table, ...(more ? [more.x, more.table] : [])];
      // Weights that differ by row show a gradient that went to another one.
      const weights = tf.tensor1d([1, -2, 3, 0.5, -1]);
      const lossOf = ({ logProbability, entropy }: ReturnType<typeof whole>) =>
        tf.add(tf.sum(tf.mul(logProbability, weights)), tf.sum(tf.mul(entropy, tf.square(weights)))) as tf.Scalar;
      await expect(async () => {
        const [chunked, direct] = [
          () => vocabularyLogProbability(hidden, table, ids, { ...options, chunk: 10, change: more }),
          () => whole(hidden, table, options, more),
        ];
        const [got, want] = [tf.tidy(chunked), tf.tidy(direct)];
        expect(await got.logProbability.data()).toBeAllclose(await want.logProbability.data(), { atol: 2e-6 });
        expect(await got.entropy.data()).toBeAllclose(await want.entropy.data(), { atol: 2e-6 });
        const [ours, theirs] = [chunked, direct].map((both) => valueAndGradients(() => lossOf(both()), inputs));
        for (const i of inputs.keys())
          expect(await ours!.gradients[i]!.data()).toBeAllclose(await theirs!.gradients[i]!.data(), { atol: 1e-5 });
        tf.dispose([got, want, ours, theirs] as tf.TensorContainer);
      }).toNotLeakTensors();
      tf.dispose([...inputs, weights]);
    },
  );

  test('a frozen table has no gradient, and that of the hidden states is the same', async () => {
    const hidden = tf.variable(random('hidden', [rows, width]));
    const [trained, frozen] = [true, false].map((trainable) => tf.variable(random('table', [size, width]), trainable));
    const gradient = (table: tf.Variable) =>
      valueAndGradients(() => {
        const both = vocabularyLogProbability(hidden, table as tf.Tensor as tf.Tensor2D, ids, { chunk: 10 });
        return tf.sum(both.logProbability) as tf.Scalar;
      }, [hidden]);
    const [a, b] = [gradient(trained!), gradient(frozen!)];
    expect(await b.gradients[0]!.data()).toEqual(await a.gradients[0]!.data());
    tf.dispose([hidden, trained!, frozen!, a, b] as tf.TensorContainer);
  });
});

test('never more than one chunk of logits is there', async () => {
  await testBackends.find(({ title }) => title === 'wasm relaxed-simd')!.open();
  const [rows, size, chunk] = [64, 6000, 500];
  const hidden = tf.variable(random('hidden', [rows, width]));
  const table = tf.variable(random('table', [size, width]), false);
  const targets = new Int32Array(rows).fill(17);
  let most = 0;
  const { state } = tf.engine();
  const watched = new Proxy(state, {
    set(target, name, value) {
      if (name === 'numBytes') most = Math.max(most, value as number);
      return Reflect.set(target, name, value);
    },
  });
  Object.assign(tf.engine(), { state: watched });
  const before = tf.memory().numBytes;
  const { value, gradients } = valueAndGradients(
    () =>
      tf.sum(
        vocabularyLogProbability(hidden, table as tf.Tensor as tf.Tensor2D, targets, { chunk }).logProbability,
      ) as tf.Scalar,
    [hidden],
  );
  Object.assign(tf.engine(), { state });
  // A dozen results of one chunk, where all logits would be twelve chunks for each of a handful.
  expect(most - before).toBeLessThan(14 * rows * chunk * 4);
  expect(most - before).toBeGreaterThan(rows * chunk * 4);
  tf.dispose([hidden, table, value, ...gradients]);
});

test('what cannot be is refused', async () => {
  await testBackends[0]!.open();
  const [hidden, table] = [random('hidden', [rows, width]), random('table', [size, width])];
  expect(() => vocabularyLogProbability(hidden, table, Int32Array.of(0, 1, 2, 23, 4))).toThrow('ids[3] is 23');
  expect(() => vocabularyLogProbability(hidden, table, ids.slice(1))).toThrow('holds 4 ids, needs 5');
  expect(() => vocabularyLogProbability(hidden, table, ids, { temperature: 0 })).toThrow('temperature is 0');
  const wrong = { x: hidden, table: random('b', [size - 1, width]) };
  expect(() => vocabularyLogProbability(hidden, table, ids, { change: wrong })).toThrow('change.table');
  tf.dispose([hidden, table, wrong.table]);
});
