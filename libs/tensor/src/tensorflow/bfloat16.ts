import * as tf from '@tensorflow/tfjs';
import { differentiable } from '../differentiable';
import type { LinearOptions, PositionRows } from '../kernels';
import { countHeldOtherwise } from '../held-bytes';
import {
  boolAttribute,
  floatType,
  idOf,
  intAttribute,
  intType,
  tensorOf,
  typeAttribute,
  type Attribute,
} from './raw-ops';
import { temporaries, type Temporaries } from './temporaries';

/** Of TensorFlow's C library; the binding has no name for it. */
export const bfloat16Number = 14;
const bfloat16Type = (name: string) => typeAttribute(name, bfloat16Number);
const toFloat = () => [bfloat16Type('SrcT'), floatType('DstT')];
const toBfloat16 = () => [floatType('SrcT'), bfloat16Type('DstT')];

/**
 * The data of tensors whose values are BFLOAT16 in TensorFlow while TensorFlow.js takes them for float32: only `linear`,
 * `embedding`, `bfloat16Rows` and `widened` can use one, anything else fails in TensorFlow by its type.
 */
const held = new WeakSet<object>();

export function isBfloat16(tensor: tf.Tensor): boolean {
  return held.has(tensor.dataId);
}

/**
 * A tensor of BFLOAT16 values, which it owns from now on.
 *
 * @param id         of the values in the binding
 * @param bytesOfOwn what of them is memory and not pages of a file
 */
export function bfloat16Tensor(id: number, shape: number[], bytesOfOwn: number): tf.Tensor {
  const tensor = tensorOf(id, shape);
  held.add(tensor.dataId);
  countHeldOtherwise(tensor, bytesOfOwn);
  return tensor;
}

/** How products with such weights are computed. */
let products: 'cast' | 'native' = 'cast';

export function setBfloat16Products(how: 'cast' | 'native'): void {
  products = how;
}

/** Numbers of a weight that are float32 at a time: 8 MiB stay in a processor's caches, and are memory that is used again. */
const numbersAtOnce = 2 ** 21;

/** `linear` with a weight held as BFLOAT16: no gradient in the weight. */
export function bfloat16Linear(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  { bias, residual, transposeWeight = false }: LinearOptions,
): tf.Tensor2D {
  const added = [bias, residual].filter((tensor) => tensor !== undefined);
  return differentiable([x, ...added], (save) => {
    save([weight]);
    let value = product(x, weight, transposeWeight);
    if (bias) value = tf.add(value, bias);
    if (residual) value = tf.add(value, residual);
    const gradient = (dy: tf.Tensor2D, [weight]: tf.Tensor[]) => {
      const gradients = [() => product(dy, weight as tf.Tensor2D, !transposeWeight) as tf.Tensor];
      if (bias) gradients.push(() => tf.sum(dy, 0));
      if (residual) gradients.push(() => dy.clone());
      return gradients;
    };
    return { value, gradient };
  });
}

/** Rows of a table held as BFLOAT16, as float32; no gradient in that table. */
export function bfloat16Embedding(table: tf.Tensor2D, ids: Int32Array, positions?: PositionRows): tf.Tensor2D {
  return tf.tidy(() => {
    const rows = gather(table, ids);
    return positions ? tf.add<tf.Tensor2D>(rows, gather(positions.table, positions.ids)) : rows;
  });
}

/** Rows `from` to `from + count` of a table, sharing its values where these begin at a multiple of 64 bytes; held as it is. */
export function bfloat16Rows(table: tf.Tensor2D, from: number, count: number): tf.Tensor2D {
  const id = temporaries(({ ints, run }) =>
    run('Slice', [idOf(table), ints([from, 0]), ints([count, -1])], [bfloat16Type('T'), intType('Index')]),
  );
  return bfloat16Tensor(id, [count, table.shape[1]], 0) as tf.Tensor2D;
}

/** The same values as an ordinary float32 tensor. */
export function widened(tensor: tf.Tensor): tf.Tensor {
  return tensorOf(
    temporaries(({ run }) => run('Cast', [idOf(tensor)], toFloat())),
    tensor.shape,
  );
}

function gather(table: tf.Tensor2D, ids: Int32Array): tf.Tensor2D {
  if (!isBfloat16(table)) return tf.gather(table, tf.tensor1d(ids, 'int32'));
  const id = temporaries(({ ints, run }) => {
    const types = [bfloat16Type('Tparams'), intType('Tindices'), intType('Taxis')];
    return run('Cast', [run('GatherV2', [idOf(table), ints(ids), ints(0)], types)], toFloat());
  });
  return tensorOf(id, [ids.length, table.shape[1]]) as tf.Tensor2D;
}

/** x W, or x W^T, in float32. */
function product(x: tf.Tensor2D, weight: tf.Tensor2D, isTransposed: boolean): tf.Tensor2D {
  const multiply = products === 'native' ? nativeProduct : castProduct;
  const id = temporaries((scratch) => multiply(scratch, x, weight, isTransposed));
  return tensorOf(id, [x.shape[0], weight.shape[isTransposed ? 0 : 1]]) as tf.Tensor2D;
}

function nativeProduct({ run }: Temporaries, x: tf.Tensor2D, weight: tf.Tensor2D, isTransposed: boolean): number {
  const inputs = [run('Cast', [idOf(x)], toBfloat16()), idOf(weight)];
  const y = run('BatchMatMulV2', inputs, [bfloat16Type('T'), boolAttribute('adj_y', isTransposed)]);
  return run('Cast', [y], toFloat());
}

/**
 * The weight is cast a few rows at a time. These are outputs where it is transposed, and their products stand side by side;
 * else inputs, and their products are added up.
 */
function castProduct(
  { ints, run, drop }: Temporaries,
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  isTransposed: boolean,
): number {
  const [rows, width] = weight.shape;
  const step = Math.max(1, Math.floor(numbersAtOnce / width));
  const slice = (id: number, type: Attribute, begin: number[], size: number[]) =>
    run('Slice', [id, ints(begin), ints(size)], [type, intType('Index')]);
  const partOf = (from: number, count: number) => {
    const some = count === rows ? idOf(weight) : slice(idOf(weight), bfloat16Type('T'), [from, 0], [count, -1]);
    const cast = run('Cast', [some], toFloat());
    const input = isTransposed || count === rows ? idOf(x) : slice(idOf(x), floatType('T'), [0, from], [-1, count]);
    const y = run('BatchMatMulV2', [input, cast], [floatType('T'), boolAttribute('adj_y', isTransposed)]);
    // Not at the end: its memory is the next one's.
    drop(cast);
    return y;
  };
  const parts: number[] = [];
  for (let from = 0; from < rows; from += step) {
    const part = partOf(from, Math.min(step, rows - from));
    const before = isTransposed ? undefined : parts.pop();
    if (before === undefined) parts.push(part);
    else {
      parts.push(run('AddV2', [before, part], [floatType('T')]));
      drop(before);
      drop(part);
    }
  }
  if (parts.length === 1) return parts[0]!;
  return run('ConcatV2', [...parts, ints(1)], [floatType('T'), intType('Tidx'), intAttribute('N', parts.length)]);
}
