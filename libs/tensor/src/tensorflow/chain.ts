import type * as tf from '@tensorflow/tfjs';
import { execute, floatType, idOf, intType, nativeBackend, tensorOf, type Attribute } from './raw-ops';

/** Operations on values by their ids in the binding. */
export interface Chain {
  of(tensor: tf.Tensor): number;
  scalar(value: number): number;
  floats(values: Float32Array, shape: number[]): number;
  ints(values: Int32Array, shape?: number[]): number;
  /** An operation with one output and float32 as its type `T`. */
  run(name: string, inputs: number[], ...attributes: Attribute[]): number;
  /** The same with several outputs. */
  runMany(outputs: number, name: string, inputs: number[], ...attributes: Attribute[]): number[];
  /** The same values in another shape, shared. */
  reshape(id: number, shape: number[]): number;
}

/**
 * A chain of small operations without tensors of TensorFlow.js between them, which cost as much as the operations.
 *
 * @param compute gives the id of the result; all others that it made are freed
 * @param shape of the result
 */
export function chain<Result extends tf.Tensor>(shape: number[], compute: (chain: Chain) => number): Result {
  const { binding } = nativeBackend();
  const made: number[] = [];
  const keep = (id: number) => {
    made.push(id);
    return id;
  };
  const runMany = (outputs: number, name: string, inputs: number[], ...attributes: Attribute[]) =>
    execute(name, inputs, [floatType('T'), ...attributes], outputs).map(keep);
  const run = (name: string, inputs: number[], ...attributes: Attribute[]) =>
    runMany(1, name, inputs, ...attributes)[0]!;
  const ints = (values: Int32Array, shape = [values.length]) =>
    keep(binding.createTensor(shape, binding.TF_INT32, values));
  const floats = (values: Float32Array, shape: number[]) => keep(binding.createTensor(shape, binding.TF_FLOAT, values));
  let result: number | undefined;
  try {
    result = compute({
      of: idOf,
      scalar: (value) => floats(Float32Array.of(value), []),
      floats,
      ints,
      run,
      runMany,
      reshape: (id, to) => run('Reshape', [id, ints(Int32Array.from(to))], intType('Tshape')),
    });
    return tensorOf(result, shape) as Result;
  } finally {
    for (const id of made) if (id !== result) binding.deleteTensor(id);
  }
}
