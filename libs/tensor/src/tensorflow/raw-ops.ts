import * as tf from '@tensorflow/tfjs';
import type { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend';

type Backend = NodeJSKernelBackend & { binding: Binding };

/** What is used of the native binding beside the backend's own methods. */
interface Binding {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): { id: number }[];
  deleteTensor(id: number): void;
}

/** An attribute of an operation as the binding takes it: `type` and the values of types are numbers of TensorFlow's C library. */
export interface Attribute {
  name: string;
  type: number;
  value: string | number | number[];
}

/** The open backend, which must be `tensorflow`. */
export function nativeBackend(): Backend {
  return tf.backend() as Backend;
}

/** Runs an operation of TensorFlow that has no name in TensorFlow.js; its float32 type is `T`. */
export function run<Result extends tf.Tensor>(name: string, inputs: tf.Tensor[], ...attributes: Attribute[]): Result {
  return nativeBackend().executeSingleOutput(name, [floatType('T'), ...attributes], inputs) as Result;
}

export const floatType = (name: string): Attribute => typeAttribute(name, nativeBackend().binding.TF_FLOAT);
export const intType = (name: string): Attribute => typeAttribute(name, nativeBackend().binding.TF_INT32);

export function floatAttribute(name: string, value: number): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_FLOAT, value };
}

export function stringAttribute(name: string, value: string): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_STRING, value };
}

export function shapeAttribute(name: string, value: number[]): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_SHAPE, value };
}

function typeAttribute(name: string, value: number): Attribute {
  return { name, type: nativeBackend().binding.TF_ATTR_TYPE, value };
}
