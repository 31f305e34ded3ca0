import type * as tf from '@tensorflow/tfjs';
import { execute, floatType, idOf, intType, nativeBackend, tensorOf, type Attribute } from './raw-ops';

/**
 * Operations on values by their ids in the binding. What an operation gives is for one other operation, which frees it;
 * tensors, scalars and arrays may be used as often as needed.
 */
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
 * @param compute gives the id of the result, which an operation made; all others that it made are freed
 * @param shape of the result
 */
export function chain<Result extends tf.Tensor>(shape: number[], compute: (chain: Chain) => number): Result {
  const { binding } = nativeBackend();
  /** Results that no operation has used yet. */
  const unused = new Set<number>();
  const constants: number[] = [];
  const constant = (shape: number[], type: number, values: Float32Array | Int32Array) => {
    const id = binding.createTensor(shape, type, values);
    constants.push(id);
    return id;
  };
  const runMany = (outputs: number, name: string, inputs: number[], ...attributes: Attribute[]) => {
    const results = execute(name, inputs, [floatType('T'), ...attributes], outputs);
    for (const id of results) unused.add(id);
    for (const id of inputs) if (unused.delete(id)) binding.deleteTensor(id);
    return results;
  };
  const run = (name: string, inputs: number[], ...attributes: Attribute[]) =>
    runMany(1, name, inputs, ...attributes)[0]!;
  const ints = (values: Int32Array, shape = [values.length]) => constant(shape, binding.TF_INT32, values);
  const floats = (values: Float32Array, shape: number[]) => constant(shape, binding.TF_FLOAT, values);
  try {
    const result = compute({
      of: idOf,
      scalar: (value) => floats(Float32Array.of(value), []),
      floats,
      ints,
      run,
      runMany,
      reshape: (id, to) => run('Reshape', [id, ints(Int32Array.from(to))], intType('Tshape')),
    });
    unused.delete(result);
    return tensorOf(result, shape) as Result;
  } finally {
    for (const id of [...unused, ...constants]) binding.deleteTensor(id);
  }
}
