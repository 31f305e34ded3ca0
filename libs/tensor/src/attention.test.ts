import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  attention,
  cachedAttention,
  createKeyValueCache,
  growKeyValueCache,
  valueAndGradients,
  type AttentionOptions,
  type KeyValueCache,
} from './index';
import type { AttentionHeads } from './kernels';
import { naiveAttention } from './naive-attention';
import { randomFloats } from './test-decoder';
import { testBackends } from './testing';

/** What an attention is told and over what: B sequences of T tokens, heads W wide. */
interface Case extends AttentionOptions {
  batch: number;
  length: number;
  headWidth: number;
}

const cases: Case[] = [
  { batch: 2, length: 5, heads: 4, keyHeads: 2, headWidth: 4 },
  { batch: 1, length: 7, heads: 3, keyHeads: 1, headWidth: 5 },
  { batch: 3, length: 4, heads: 6, keyHeads: 3, headWidth: 1, scale: 0.7 },
  { batch: 2, length: 6, heads: 2, keyHeads: 2, headWidth: 3, softCap: 0.5 },
  { batch: 2, length: 9, heads: 4, keyHeads: 1, headWidth: 6, window: 1 },
  { batch: 2, length: 9, heads: 4, keyHeads: 2, headWidth: 7, window: 3, softCap: 2 },
  { batch: 1, length: 6, heads: 2, keyHeads: 1, headWidth: 2, window: 100 },
  { batch: 1, length: 1, heads: 4, keyHeads: 2, headWidth: 3, scale: 2, softCap: 1, window: 1 },
  // Over more than one block of rows: windows that begin and end in, before and at a block.
  ...[1, 31, 33, 40].map((window) => ({
    ...{ batch: 2, length: 71, heads: 4, keyHeads: 2, headWidth: 9, window, softCap: 3, scale: 0.2 },
  })),
  { batch: 1, length: 300, heads: 2, keyHeads: 1, headWidth: 5, window: 270 },
];
const title = ({ batch, length, ...options }: Case) => `${batch} × ${length}, ${JSON.stringify(options)}`;
const named = cases.map((each) => [title(each), each] as const);

/** What the formula gives for a case, a sequence each, computed once for all backends. */
const formula = memoized((each: Case) => sequencesOf(each).map((sequence) => naiveAttention(sequence, headsOf(each))));

/** Slopes of the formula, by numbers of the last sequence spread over tokens and over queries, keys and values. */
const slopes = memoized((each: Case) => {
  const heads = headsOf(each);
  const sequence = Float64Array.from(sequencesOf(each).at(-1)!);
  const weights = weightsOf(each).slice(-each.length * each.heads * each.headWidth);
  const sum = (values: Float64Array) => values.reduce((total, y, i) => total + y * weights[i]!, 0);
  const at = (element: number, shift: number) =>
    sum(naiveAttention(sequence.with(element, sequence[element]! + shift), heads));
  const [step, count] = [1e-4, each.length > 50 ? 9 : 29];
  return Array.from({ length: count }, (_, i) => {
    const element = Math.floor((i * (sequence.length - 1)) / (count - 1));
    return { element, slope: (at(element, step) - at(element, -step)) / (2 * step) };
  });
});

function memoized<Value>(compute: (each: Case) => Value): (each: Case) => Value {
  const known = new Map<Case, Value>();
  return (each) => {
    if (!known.has(each)) known.set(each, compute(each));
    return known.get(each)!;
  };
}

const close = { atol: 1e-5, rtol: 2e-5 };

function headsOf({ heads, keyHeads = heads, headWidth, scale = 1 / Math.sqrt(headWidth), softCap, window }: Case) {
  return { heads, keyHeads, headWidth, scale, softCap, window };
}

/** Numbers of one token in packed rows. */
function widthOf({ heads, keyHeads, headWidth }: AttentionHeads): number {
  return (heads + 2 * keyHeads) * headWidth;
}

/** Random packed rows of a case, a sequence each. */
function sequencesOf(each: Case): Float32Array[] {
  return Array.from({ length: each.batch }, (_, i) => randomFloats(each.length * widthOf(headsOf(each)), i));
}

/** Of the outputs in the loss whose gradient is taken. */
function weightsOf({ batch, length, heads, headWidth }: Case): Float32Array {
  return randomFloats(batch * length * heads * headWidth, 99);
}

function packedOf(sequences: Float32Array[], width: number): tf.Tensor2D {
  const values = Float32Array.from(sequences.flatMap((sequence) => [...sequence]));
  return tf.tensor2d(values, [values.length / width, width]);
}

async function read(compute: () => tf.Tensor): Promise<Float32Array> {
  const tensor = tf.tidy(compute);
  const values = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return values;
}

describe.each(testBackends)('attention of any heads, $title', (backend) => {
  test.each(named)('%s: is the formula, a sequence at a time', async (_, each) => {
    await backend.open();
    const got = await read(() => attention(packedOf(sequencesOf(each), widthOf(headsOf(each))), each));
    expect(got).toBeAllclose(
      formula(each).flatMap((values) => [...values]),
      close,
    );
  });

  test.each(named)('%s: the gradient is the slope of the formula', async (_, each) => {
    await backend.open();
    const sequences = sequencesOf(each);
    const weights = weightsOf(each);
    const shape: [number, number] = [each.batch * each.length, each.heads * each.headWidth];
    const packed = tf.tidy(() => tf.variable(packedOf(sequences, widthOf(headsOf(each)))));
    const { value, gradients } = valueAndGradients(
      () => tf.sum(tf.mul(attention(packed as tf.Tensor2D, each), tf.tensor2d(weights, shape))),
      [packed],
    );
    const gradient = ((await gradients[0]!.data()) as Float32Array).subarray(-sequences[0]!.length);
    tf.dispose([packed, value, ...gradients]);
    expect(slopes(each).map(({ element }) => gradient[element]!)).toBeAllclose(
      slopes(each).map(({ slope }) => slope),
      { atol: 3e-5, rtol: 1e-4 },
    );
  });

  test.each(named.filter(([, { length }]) => length < 100))(
    '%s: a cache grown in blocks gives what a large one and the formula give',
    async (_, each) => {
      await backend.open();
      const heads = headsOf(each);
      const width = widthOf(heads);
      const out = each.heads * each.headWidth;
      const sequences = sequencesOf(each);
      const expected = formula(each);
      // The prompt of row i has i tokens less than that of row 0; what pads it is overwritten.
      const prompt = Math.max(1, each.length >> 1);
      const starts = sequences.map((_, row) => Math.max(1, prompt - row));
      const feed = async (cache: KeyValueCache, from: number[], length: number) => {
        const rows = sequences.map((sequence, row) =>
          sequence.subarray(from[row]! * width, (from[row]! + length) * width),
        );
        const got = await read(() => cachedAttention(packedOf(rows, width), cache, Int32Array.from(from), each));
        return sequences.map((_, row) => got.subarray(row * length * out, (row + 1) * length * out));
      };
      const before = tf.memory().numTensors;
      for (const growth of [each.length, 3]) {
        const cache = createKeyValueCache(
          each.batch,
          growth === 3 ? prompt : 4 * each.length,
          heads.keyHeads * each.headWidth,
        );
        const prefilled = await feed(
          cache,
          starts.map(() => 0),
          prompt,
        );
        starts.forEach((length, row) =>
          expect(prefilled[row]!.subarray(0, length * out)).toBeAllclose(
            expected[row]!.subarray(0, length * out),
            close,
          ),
        );
        for (let step = 0; step < Math.min(each.length - prompt, 8); step++) {
          const from = starts.map((start) => start + step);
          if (Math.max(...from) >= cache.capacity)
            growKeyValueCache(cache, Math.max(...from) + growth, { keyHeads: heads.keyHeads });
          const got = await feed(cache, from, 1);
          from.forEach((position, row) =>
            expect(got[row]!).toBeAllclose(expected[row]!.subarray(position * out, (position + 1) * out), close),
          );
        }
        cache.dispose();
      }
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  test('leaves no tensors behind, recorded or not', async () => {
    await backend.open();
    const each = cases[5]!;
    const width = widthOf(headsOf(each));
    await expect(async () => {
      await read(() => attention(packedOf(sequencesOf(each), width), each));
      const packed = tf.tidy(() => tf.variable(packedOf(sequencesOf(each), width)));
      const { value, gradients } = valueAndGradients(() => tf.sum(attention(packed as tf.Tensor2D, each)), [packed]);
      await value.data();
      tf.dispose([packed, value, ...gradients]);
    }).toNotLeakTensors();
  });

  test('NaN reaches the results through a cap', async () => {
    await backend.open();
    const packed = () => tf.tensor2d([NaN, 1, 1, 1, 1, 1], [1, 6]);
    expect((await read(() => attention(packed(), { batch: 1, heads: 1, softCap: 3 })))[0]).toBeNaN();
  });
});

describe('attention refuses', () => {
  const packed = () => tf.zeros([6, 8]) as tf.Tensor2D;
  test.each([
    [{ batch: 4, heads: 2, keyHeads: 1 }, '6 rows are not a multiple of batch 4'],
    [{ batch: 2, heads: 3, keyHeads: 2 }, '3 heads are not a multiple of 2 key heads'],
    [{ batch: 2, heads: 3, keyHeads: 1 }, 'width 8 is not a multiple of 3 + 2 * 1 heads'],
    [{ batch: 2, heads: 2, keyHeads: 1, window: 0 }, 'window'],
    [{ batch: 2, heads: 2, keyHeads: 1, softCap: 0 }, 'softCap is 0, needs a number > 0'],
    [{ batch: 2, heads: 2, keyHeads: 1, scale: NaN }, 'scale is NaN, needs a number > 0'],
  ])('%j', (options, message) => {
    expect(() => attention(packed(), options)).toThrow(message);
  });

  test('a cache of other key heads, and one that does not grow', () => {
    const cache = createKeyValueCache(2, 4, 4);
    const options = { heads: 2, keyHeads: 1 };
    expect(() => cachedAttention(packed(), cache, new Int32Array(2), options)).toThrow(/cache.keys.*4/);
    expect(() => growKeyValueCache(cache, 3, { keyHeads: 2 })).toThrow('growKeyValueCache: capacity');
    cache.dispose();
  });
});
