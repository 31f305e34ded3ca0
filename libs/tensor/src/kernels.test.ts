import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  attention,
  cachedAttention,
  createKeyValueCache,
  embedding,
  entropy,
  gelu,
  layerNorm,
  linear,
  logProbability,
  rmsNorm,
  rotaryAngles,
  rotate,
  silu,
  valueAndGradients,
} from './index';
import { randomFloats, randomIds } from './test-decoder';
import { testBackends, type TestBackend } from './testing';

const reference = testBackends.find(({ title }) => title === 'cpu plain')!;
const measured = testBackends.filter((backend) => backend !== reference);

type Operation = (...inputs: tf.Tensor[]) => tf.Tensor;

/** Value, and gradient of sum(value * weights) with fixed weights, of an operation on fixed inputs. */
async function evaluate(backend: TestBackend, shapes: number[][], operation: Operation) {
  await backend.open();
  const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
  const inputs = shapes.map((shape, i) => tf.tidy(() => tf.variable(tf.tensor(randomFloats(size(shape), i), shape))));
  const output = tf.tidy(() => operation(...inputs));
  const weights = tf.tensor(randomFloats(output.size, 99), output.shape);
  const loss = () => tf.sum(tf.mul(operation(...inputs), weights)) as tf.Scalar;
  const { value, gradients } = valueAndGradients(loss, inputs);
  const result = {
    output: await output.data(),
    gradients: await Promise.all(gradients.map((gradient) => gradient.data())),
    lossAt: async (i: number, element: number, shift: number) => {
      const values = Float32Array.from(await (inputs[i] as tf.Variable).data());
      values[element] = (values[element] as number) + shift;
      const moved = tf.tensor(values, shapes[i]);
      const at = tf.tidy(() => tf.sum(tf.mul(operation(...inputs.with(i, moved as tf.Variable)), weights)));
      const [number] = await at.data();
      tf.dispose([moved, at]);
      return number as number;
    },
    dispose: () => tf.dispose([...inputs, output, weights, value, ...gradients]),
  };
  return result;
}

/** The values of a tensor that `compute` makes, which is disposed. */
async function read(compute: () => tf.Tensor): Promise<Float32Array> {
  const tensor = tf.tidy(compute);
  const values = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return values;
}

/** Of four tokens, one far on, with d frequencies. */
function anglesOf(d: number) {
  return rotaryAngles(
    Int32Array.of(0, 1, 5, 900),
    Float32Array.from({ length: d }, (_, i) => 1 / (1 + i)),
  );
}

const two = (shape: number[]) => shape as [number, number];
const widths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17];
const cases: [string, number[][], Operation][] = [
  ...widths.flatMap((d): [string, number[][], Operation][] => [
    [
      'layerNorm',
      [[5, d], [d], [d]],
      (x, g, b) => layerNorm(x as tf.Tensor2D, g as tf.Tensor1D, b as tf.Tensor1D, 0.1),
    ],
    [
      'rmsNorm',
      [[5, d], [d]],
      (x, g) => rmsNorm(x as tf.Tensor2D, g as tf.Tensor1D, { epsilon: 0.1, gainOffset: d % 2 }),
    ],
    ['gelu', [[3, d]], (x) => gelu(x as tf.Tensor2D)],
    ['silu', [[3, d]], (x) => silu(x as tf.Tensor2D)],
    ...[2, 3].map((rotated): [string, number[][], Operation] => [
      `rotate, ${rotated} heads of three`,
      [[4, 6 * d]],
      (x) => rotate(x as tf.Tensor2D, anglesOf(d), { rotated }),
    ]),
    ['entropy', [[4, d + 1]], (x) => entropy(x as tf.Tensor2D)],
    ['logProbability', [[4, d]], (x) => logProbability(x as tf.Tensor2D, randomIds(4, d, 1))],
    ['embedding', [[6, d]], (table) => embedding(table as tf.Tensor2D, Int32Array.of(5, 0, 5, 2))],
    [
      'embedding with positions',
      [
        [6, d],
        [3, d],
      ],
      (table, places) =>
        embedding(table as tf.Tensor2D, Int32Array.of(5, 0, 5, 2), {
          table: places as tf.Tensor2D,
          ids: Int32Array.of(0, 1, 2, 0),
        }),
    ],
    ['attention, 1 head', [[10, 3 * d]], (qkv) => attention(qkv as tf.Tensor2D, { batch: 2, heads: 1 })],
    ['attention, 3 heads', [[7, 9 * d]], (qkv) => attention(qkv as tf.Tensor2D, { batch: 1, heads: 3 })],
  ]),
  ['attention over two blocks', [[2 * 37, 3 * 8]], (qkv) => attention(qkv as tf.Tensor2D, { batch: 2, heads: 2 })],
  ...[
    [1, 1, 1],
    [3, 5, 7],
    [4, 8, 4],
    [6, 16, 8],
    [5, 9, 33],
    [13, 33, 19],
    [33, 520, 257],
    [130, 17, 300],
  ].flatMap(([m, n, k]): [string, number[][], Operation][] => {
    const [M, N, K] = [m as number, n as number, k as number];
    return [
      [
        'linear',
        [
          [M, K],
          [K, N],
        ],
        (x, w) => linear(x as tf.Tensor2D, w as tf.Tensor2D),
      ],
      [
        'linear with bias',
        [[M, K], [K, N], [N]],
        (x, w, b) => linear(x as tf.Tensor2D, w as tf.Tensor2D, { bias: b as tf.Tensor1D }),
      ],
      [
        'linear with residual',
        [
          [M, K],
          [K, N],
          [M, N],
        ],
        (x, w, r) => linear(x as tf.Tensor2D, w as tf.Tensor2D, { residual: r as tf.Tensor2D }),
      ],
      [
        'linear, transposed, with bias and residual',
        [[M, K], [N, K], [N], [M, N]],
        (x, w, b, r) =>
          linear(x as tf.Tensor2D, w as tf.Tensor2D, {
            transposeWeight: true,
            bias: b as tf.Tensor1D,
            residual: r as tf.Tensor2D,
          }),
      ],
    ];
  }),
];
const name = (shapes: number[][]) => shapes.map((shape) => `[${shape}]`).join(' ');

/** What the reference gives for a case, computed once. */
const expectations = new Map<string, Promise<{ output: ArrayLike<number>; gradients: ArrayLike<number>[] }>>();

function expectation(title: string, shapes: number[][], operation: Operation) {
  if (!expectations.has(title))
    expectations.set(
      title,
      evaluate(reference, shapes, operation).then(({ output, gradients, dispose }) => {
        dispose();
        return { output, gradients };
      }),
    );
  return expectations.get(title)!;
}

describe.each(measured)('kernels of $title', (backend) => {
  test.each(cases.map(([title, shapes, run]) => [`${title} ${name(shapes)}`, shapes, run] as const))(
    '%s: value and gradients are those of the cpu backend',
    async (title, shapes, run) => {
      const expected = await expectation(title, shapes, run);
      const got = await evaluate(backend, shapes, run);
      const depth = Math.max(...shapes.flat());
      const tolerance = { atol: 2e-6 * Math.max(8, depth), rtol: 2e-5 };
      expect(got.output).toBeAllclose(expected.output, tolerance);
      got.gradients.forEach((gradient, i) => expect(gradient).toBeAllclose(expected.gradients[i]!, tolerance));
      got.dispose();
    },
  );
});

describe.each(measured)('kernels of $title', (backend) => {
  test.each(
    cases
      .filter(([, shapes]) => shapes.flat().every((size) => size <= 27))
      .map(([title, shapes, run]) => [`${title} ${name(shapes)}`, shapes, run] as const),
  )('%s: gradients are the slopes of the value', async (_, shapes, run) => {
    const at = await evaluate(backend, shapes, run);
    const step = 1e-2;
    for (const [i, gradient] of at.gradients.entries()) {
      for (const element of [0, gradient.length >> 1, gradient.length - 1]) {
        const slope = ((await at.lossAt(i, element, step)) - (await at.lossAt(i, element, -step))) / (2 * step);
        expect([gradient[element] as number]).toBeAllclose([slope], { atol: 4e-3, rtol: 4e-3 });
      }
    }
    at.dispose();
  });
});

describe.each(testBackends)('cached attention, $title', (backend) => {
  test.each([
    [1, 1],
    [2, 3],
    [4, 2],
    [5, 1],
    [6, 4],
    [7, 3],
  ])(
    '%i wide, %i heads: prompts of different lengths, padded on the right, then a token at a time',
    async (width, heads) => {
      await backend.open();
      const packed = 3 * width * heads;
      const [total, padded] = [9, 5];
      const prompts = Int32Array.of(5, 2, 3);
      const rows = Array.from({ length: 3 }, (_, i) => randomFloats(total * packed, i));
      const full = await Promise.all(
        rows.map((row) => read(() => attention(tf.tensor2d(row, [total, packed]), { batch: 1, heads }))),
      );
      const before = tf.memory().numTensors;
      // More room than is used: a part of the cache is enough, then nearly all of it is in use.
      for (const capacity of [total, 4 * total]) {
        const cache = createKeyValueCache(3, capacity, width * heads);
        const feed = (pieces: Float32Array[], starts: Int32Array) =>
          read(() => {
            const length = (pieces[0] as Float32Array).length / packed;
            const qkv = tf.tensor2d(
              Float32Array.from(pieces.flatMap((piece) => [...piece])),
              two([3 * length, packed]),
            );
            return cachedAttention(qkv, cache, starts, { heads });
          });
        const out = width * heads;
        const padding = randomFloats(padded * packed, 7);
        const first = rows.map((row, i) => {
          const piece = padding.slice();
          piece.set(row.subarray(0, (prompts[i] as number) * packed));
          return piece;
        });
        const close = { atol: 2e-5, rtol: 2e-5 };
        const prompt = await feed(first, new Int32Array(3));
        prompts.forEach((length, i) => {
          const got = prompt.subarray(i * padded * out, (i * padded + length) * out);
          expect(got).toBeAllclose((full[i] as Float32Array).subarray(0, length * out), close);
        });
        for (let step = 0; step < total - padded; step++) {
          const starts = prompts.map((length) => length + step);
          const next = rows.map((row, i) =>
            row.subarray((starts[i] as number) * packed, ((starts[i] as number) + 1) * packed),
          );
          const got = await feed(next, starts);
          starts.forEach((start, i) =>
            expect(got.subarray(i * out, (i + 1) * out)).toBeAllclose(
              (full[i] as Float32Array).subarray(start * out, (start + 1) * out),
              close,
            ),
          );
        }
        cache.dispose();
      }
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});

describe.each(testBackends)('numbers out of the ordinary, $title', (backend) => {
  test('logits far from 0 keep log-probability and entropy exact', async () => {
    await backend.open();
    // softmax(1000, 1000, -1000) is (1/2, 1/2, 0): log 1/2 and entropy log 2.
    const logits = () => tf.tensor2d([1000, 1000, -1000], [1, 3]);
    expect(await read(() => logProbability(logits(), Int32Array.of(1)))).toBeAllclose([-Math.LN2]);
    expect(await read(() => entropy(logits()))).toBeAllclose([Math.LN2]);
    const x = tf.tidy(() => tf.variable(logits()));
    const chosen = valueAndGradients(() => tf.sum(logProbability(x as tf.Tensor2D, Int32Array.of(1))), [x]);
    expect(await chosen.gradients[0]!.data()).toBeAllclose([-0.5, 0.5, 0]);
    const spread = valueAndGradients(() => tf.sum(entropy(x as tf.Tensor2D)), [x]);
    expect(await spread.gradients[0]!.data()).toBeAllclose([0, 0, 0]);
    tf.dispose([x, chosen, spread] as unknown as tf.TensorContainer);
  });

  test('NaN reaches the results', async () => {
    await backend.open();
    const x = () => tf.tensor2d([1, NaN, 2, 3, 4], [1, 5]);
    const ones = () => tf.ones([5]) as tf.Tensor1D;
    expect((await read(() => gelu(x())))[1]).toBeNaN();
    expect((await read(() => silu(x())))[1]).toBeNaN();
    expect(await read(() => rmsNorm(x(), ones(), { epsilon: 1e-6 }))).toBeAllclose(new Float32Array(5).fill(NaN));
    expect(await read(() => layerNorm(x(), ones(), ones()))).toBeAllclose(new Float32Array(5).fill(NaN));
    expect((await read(() => logProbability(x(), Int32Array.of(0))))[0]).toBeNaN();
    expect((await read(() => entropy(x())))[0]).toBeNaN();
    expect((await read(() => linear(x(), tf.ones([5, 1]))))[0]).toBeNaN();
    const qkv = () => tf.tensor2d([NaN, 1, 1, 1, 1, 1], [1, 6]);
    expect((await read(() => attention(qkv(), { batch: 1, heads: 1 })))[0]).toBeNaN();
  });

  test.each([...new Map(cases.map(([title, ...rest]) => [title, rest]))])(
    '%s leaves no tensors behind, recorded or not',
    async (_, [shapes, run]) => {
      await backend.open();
      await expect(async () => (await evaluate(backend, shapes, run)).dispose()).toNotLeakTensors();
    },
  );

  test('a row far from 0 keeps the digits of its layer norm', async () => {
    await backend.open();
    // 1000, 1002, 1004 have mean 1002 and variance 8/3.
    const root = Math.sqrt(3 / 8);
    const normed = await read(() =>
      layerNorm(tf.tensor2d([1000, 1002, 1004], [1, 3]), tf.ones([3]), tf.zeros([3]), 1e-9),
    );
    expect(normed).toBeAllclose([-2 * root, 0, 2 * root], { atol: 1e-4 });
  });
});
