import * as tf from '@tensorflow/tfjs';
import type { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend';

/** The methods that are private in its typings beside those that are not. */
type Backend = Pick<NodeJSKernelBackend, 'executeSingleOutput' | 'isUsingGpuDevice' | keyof tf.KernelBackend> & {
  binding: Binding;
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  createOutputTensor(metadata: { id: number; shape: number[]; dtype: number }): tf.Tensor;
};

/** What is used of the native binding beside the backend's own methods. */
interface Binding {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_INT64: number;
  readonly TF_UINT8: number;
  createTensor(shape: number[], dtype: number, values: Float32Array | Int32Array): number;
  executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): { id: number }[];
  deleteTensor(id: number): void;
}

/** An attribute of an operation as the binding takes it: `type` and the values of types are numbers of TensorFlow's C library. */
export interface Attribute {
  name: string;
  type: number;
  value: string | number | boolean | number[];
}

/** The open backend, which must be `tensorflow`. */
export function nativeBackend(): Backend {
  return tf.backend() as unknown as Backend;
}

/** Runs an operation of TensorFlow that has no name in TensorFlow.js; its float32 type is `T`. */
export function run<Result extends tf.Tensor>(name: string, inputs: tf.Tensor[], ...attributes: Attribute[]): Result {
  return nativeBackend().executeSingleOutput(name, [floatType('T'), ...attributes], inputs) as Result;
}

/** Runs an operation on values that are no tensors of TensorFlow.js, by the binding's ids. @returns the ids of its outputs */
export function execute(name: string, inputs: number[], attributes: Attribute[], outputs = 0): number[] {
  return nativeBackend()
    .binding.executeOp(name, attributes, inputs, outputs)
    .map(({ id }) => id);
}

/** The binding's id of a tensor's values; it holds until the tensor is disposed. */
export function idOf(tensor: tf.Tensor): number {
  return nativeBackend().getInputTensorIds([tensor])[0]!;
}

/** A float32 tensor of the values that an id stands for, which it owns from now on. */
export function tensorOf(id: number, shape: number[]): tf.Tensor {
  return nativeBackend().createOutputTensor({ id, shape, dtype: nativeBackend().binding.TF_FLOAT });
}

export const floatType = (name: string): Attribute => typeAttribute(name, nativeBackend().binding.TF_FLOAT);
export const intType = (name: string): Attribute => typeAttribute(name, nativeBackend().binding.TF_INT32);

export function intAttribute(name: string, value: number): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_INT, value };
}

export function boolAttribute(name: string, value: boolean): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_BOOL, value };
}

export function floatAttribute(name: string, value: number): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_FLOAT, value };
}

export function stringAttribute(name: string, value: string): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_STRING, value };
}

export function shapeAttribute(name: string, value: number[]): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_SHAPE, value };
}

/** @param value a number of TensorFlow's C library */
export function typeAttribute(name: string, value: number): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_TYPE, value };
}
