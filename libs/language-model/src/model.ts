import { isBfloat16 } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { adapterParameters, type Adapter } from './adapter';
import type { ModelConfig } from './config';
import type { HeldWeights } from './load-weights';
import { parameterShapes } from './parameters';

/** A decoder with its parameters on the backend. */
export interface LanguageModel {
  readonly config: ModelConfig;
  /** By Hugging Face name, in the order of the file; those that are not `trainable` are frozen. */
  readonly parameters: ReadonlyMap<string, tf.Variable>;
  /** Changes what the parameters compute, and is what is trained; they are frozen then. */
  readonly adapter?: Adapter;
  /** How the parameters are held, where the model was loaded from files. */
  readonly weights?: HeldWeights;
  /** sha256 over the weight files, where the model was loaded from some. */
  readonly digest?: string;
}

/** The parameters that training changes: the adapter's where there is one, else all that are not frozen. */
export function trainableParameters({ parameters, adapter }: LanguageModel): ReadonlyMap<string, tf.Variable> {
  if (adapter) return adapterParameters(adapter);
  return new Map([...parameters].filter(([, { trainable }]) => trainable));
}

/** Puts parameters on the backend. @param valuesOf the values of a parameter; called once for each, in order */
export function modelFromValues(
  config: ModelConfig,
  valuesOf: (name: string, shape: number[]) => Float32Array,
  digest?: string,
): LanguageModel {
  const parameters = new Map<string, tf.Variable>();
  for (const [name, shape] of parameterShapes(config))
    parameters.set(
      name,
      tf.tidy(() => tf.variable(tf.tensor(valuesOf(name, shape), shape))),
    );
  return { config, parameters, ...(digest !== undefined && { digest }) };
}

/** Frees the parameters, and those of the adapter. */
export function disposeModel({ parameters, adapter }: LanguageModel): void {
  tf.dispose([...parameters.values(), ...(adapter ? adapterParameters(adapter).values() : [])]);
}

/**
 * A variable with memory of its own: times 1, since a clone would share the memory that an optimiser writes in place. What is held
 * as BF16 is never written, and shared. What is frozen stays so.
 */
export function copyOf(parameter: tf.Variable): tf.Variable {
  const values = () => (isBfloat16(parameter) ? parameter.clone() : tf.mul<tf.Tensor>(parameter, 1));
  return tf.tidy(() => tf.variable(values(), parameter.trainable));
}
