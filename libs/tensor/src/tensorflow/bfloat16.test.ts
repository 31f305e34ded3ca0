import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  backendIdentity,
  embedding,
  float32Of,
  heldBytes,
  linear,
  openBackend,
  openWeights,
  randomStream,
  rowsOf,
  valueAndGradients,
  vocabularyLogProbability,
  writeTensors,
} from '../index';
import { heldTensors } from '../testing';
import { isBfloat16 } from './bfloat16';
import { bfloat16Problem, flagsProblem } from './bfloat16-support';
import { hasTensorflow } from './native-library';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-bfloat16-'));
});
afterAll(() => rm(folder, { recursive: true }));

const random = (name: string, size: number) => {
  const values = new Float32Array(size);
  randomStream(1, name).normals(values, 1);
  return values;
};

/** A file with a weight [96, 64], a table [40, 64] and a vector of three numbers, all BF16, which end ragged. */
async function writeFile(): Promise<string> {
  const path = join(folder, 'weights.safetensors');
  const bf16 = (name: string, shape: number[]) => {
    const size = shape.reduce((a, b) => a * b);
    return { name, shape, dtype: 'BF16' as const, pieces: () => [random(name, size)] };
  };
  await writeTensors(path, [bf16('a vector', [3]), bf16('table', [40, 64]), bf16('weight', [96, 64])]);
  return path;
}

/** Tensors of the file, held as BF16 and as float32; used and disposed. */
async function withHeld(
  run: (held: Record<'bfloat16' | 'float32', Record<'weight' | 'table', tf.Tensor2D>>) => unknown,
) {
  const file = await openWeights(await writeFile());
  const all: tf.Tensor[] = [];
  const read = async (name: string, form: 'bfloat16' | 'float32') => {
    const values = await file.read(file.file.tensors.get(name)!, form);
    const variable = tf.variable(values, false);
    values.dispose();
    all.push(variable);
    return variable as tf.Tensor as tf.Tensor2D;
  };
  const both = async (form: 'bfloat16' | 'float32') => ({
    weight: await read('weight', form),
    table: await read('table', form),
  });
  const held = { bfloat16: await both('bfloat16'), float32: await both('float32') };
  await file.close();
  await run(held);
  tf.dispose(all);
}

(hasTensorflow() ? describe : describe.skip)('weights held as BF16', () => {
  beforeAll(async () => {
    await openBackend('tensorflow', { bfloat16: 'cast' });
  });

  test('are mapped where they are aligned, take no memory, and leave nothing behind', async () => {
    await expect(async () => {
      const file = await openWeights(await writeFile());
      const of = (name: string) => file.file.tensors.get(name)!;
      expect(file.bfloat16(of('weight'))).toEqual({ isPossible: true, isMapped: true });
      expect(file.bfloat16(of('a vector'))).toEqual({ isPossible: true, isMapped: false });
      const before = heldBytes();
      const weight = await file.read(of('weight'), 'bfloat16');
      expect(heldBytes()).toBe(before);
      const vector = await file.read(of('a vector'), 'bfloat16');
      expect(heldBytes()).toBe(before + 6);
      expect([isBfloat16(weight), isBfloat16(vector)]).toEqual([true, true]);
      await file.close();
      tf.dispose([weight, vector]);
      expect(heldBytes()).toBe(before);
    }).toNotLeakTensors();
  });

  test('multiply and are looked up as the same numbers in float32, forward and backward', async () => {
    await expect(async () => {
      await withHeld(async ({ bfloat16, float32 }) => {
        for (const transposeWeight of [true, false]) {
          const x = tf.tidy(() =>
            tf.variable(tf.tensor2d(random('x', 5 * (transposeWeight ? 64 : 96)), [5, transposeWeight ? 64 : 96])),
          );
          const bias = tf.tidy(() => tf.variable(tf.ones([transposeWeight ? 96 : 64]))) as tf.Tensor as tf.Tensor1D;
          const run = (weight: tf.Tensor2D) =>
            valueAndGradients(
              () => tf.sum(tf.square(linear(x as never, weight, { transposeWeight, bias }))) as tf.Scalar,
              [x, bias as never],
            );
          const [got, want] = [run(bfloat16.weight), run(float32.weight)];
          expect(await got.value.data()).toBeAllclose(await want.value.data(), { rtol: 1e-5 });
          for (const i of [0, 1])
            expect(await got.gradients[i]!.data()).toBeAllclose(await want.gradients[i]!.data(), { atol: 1e-4 });
          tf.dispose([x, bias, got, want] as tf.TensorContainer);
        }
        const ids = Int32Array.of(3, 39, 3);
        const [rows, same] = [bfloat16, float32].map(({ table }) => embedding(table, ids));
        expect(await rows!.data()).toEqual(await same!.data());
        tf.dispose([rows!, same!]);
      });
    }).toNotLeakTensors();
  });

  test('a large weight is cast a few rows at a time', async () => {
    // 2,100 rows of 1,024 are more than 2^21 numbers: two parts.
    const path = join(folder, 'large.safetensors');
    const shape = [2100, 1024];
    const values = new Float32Array(2100 * 1024).map((_, i) => ((i * 37) % 101) / 50 - 1);
    await writeTensors(path, [{ name: 'w', shape, dtype: 'BF16', pieces: () => [values] }]);
    await expect(async () => {
      const file = await openWeights(path);
      const [held, wide] = await Promise.all(
        (['bfloat16', 'float32'] as const).map((form) => file.read(file.file.tensors.get('w')!, form)),
      );
      await file.close();
      for (const transposeWeight of [true, false]) {
        const x = tf.tensor2d(random('x', 2 * shape[Number(transposeWeight)]!), [2, shape[Number(transposeWeight)]!]);
        const [got, want] = [held, wide].map((w) => linear(x, w as tf.Tensor2D, { transposeWeight }));
        expect(await got!.data()).toBeAllclose(await want!.data(), { atol: 2e-4 });
        tf.dispose([x, got!, want!]);
      }
      tf.dispose([held!, wide!]);
    }).toNotLeakTensors();
  });

  test('serve as the table of a vocabulary, and its rows stay BF16', async () => {
    await withHeld(async ({ bfloat16, float32 }) => {
      const hidden = tf.variable(tf.tensor2d(random('hidden', 3 * 64), [3, 64]));
      const run = (table: tf.Tensor2D) =>
        valueAndGradients(() => {
          const ids = Int32Array.of(0, 17, 39);
          const { logProbability, entropy } = vocabularyLogProbability(hidden as never, table, ids, { chunk: 16 });
          return tf.add(tf.sum(logProbability), tf.sum(entropy)) as tf.Scalar;
        }, [hidden]);
      const [got, want] = [run(bfloat16.table), run(float32.table)];
      expect(await got.gradients[0]!.data()).toBeAllclose(await want.gradients[0]!.data(), { atol: 1e-4 });
      const rows = rowsOf(bfloat16.table, 32, 8);
      expect(isBfloat16(rows)).toBe(true);
      const [wide, same] = [float32Of(rows), tf.slice(float32.table, [32, 0], [8, -1])];
      expect(await wide.data()).toEqual(await same.data());
      tf.dispose([hidden, got, want, rows, wide, same] as tf.TensorContainer);
    });
  });

  test('anything else fails instead of computing nonsense, and what it made is not kept', async () => {
    await withHeld(({ bfloat16 }) => {
      const before = heldTensors();
      expect(() => tf.tidy(() => tf.add(bfloat16.weight, 1))).toThrow();
      expect(() => bfloat16.weight.dataSync()).toThrow('14');
      expect(heldTensors().tensors).toBe(before.tensors);
    });
  });

  (bfloat16Problem() === undefined ? test : test.skip)(
    'native products are within the rounding of 8 bits',
    async () => {
      const native = await openBackend('tensorflow', { bfloat16: 'native' });
      await withHeld(async ({ bfloat16, float32 }) => {
        const x = tf.tensor2d(random('x', 5 * 64), [5, 64]);
        const [got, want] = [bfloat16, float32].map(({ weight }) => linear(x, weight, { transposeWeight: true }));
        // Inputs and results are rounded to 2^-9 of themselves; a sum of 64 products of size one is 8 in size, and reaches 24.
        expect(await got!.data()).toBeAllclose(await want!.data(), { atol: 24 * 2 ** -8, rtol: 2 ** -8 });
        expect(await got!.data()).not.toEqual(await want!.data());
        tf.dispose([x, got!, want!]);
      });
      const cast = await openBackend('tensorflow', { bfloat16: 'cast' });
      expect(backendIdentity(native)).toBe(`${backendIdentity(cast)} native BF16`);
    },
  );
});

test('a CPU is asked whether it multiplies BF16 before anything tries', () => {
  expect(flagsProblem('processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n')).toBeUndefined();
  expect(flagsProblem('flags : fpu amx_bf16\n')).toBeUndefined();
  expect(flagsProblem('Features\t: fp asimd bf16\n')).toBeUndefined();
  expect(flagsProblem('flags : fpu avx2 avx512f\n')).toBe('the CPU has none of avx512_bf16, amx_bf16, bf16');
  expect(flagsProblem('')).toContain('the CPU has none');
});
