import { DomainError } from '@surefoot/errors';
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
 * Overwrites the parameters of `to` by those of `from`.
 *
 * @throws DomainError invalid_argument if the models differ in a parameter's name or shape; then nothing is copied
 */
export function copyParameters(from: LanguageModel, to: LanguageModel): void {
  const same = ([name, { shape }]: [string, tf.Variable]) => String(to.parameters.get(name)?.shape) === String(shape);
  if (from.parameters.size !== to.parameters.size || ![...from.parameters].every(same))
    throw new DomainError('invalid_argument', 'cannot copy parameters between models of different geometry');
  for (const [name, parameter] of from.parameters) tf.tidy(() => to.parameters.get(name)!.assign(tf.mul(parameter, 1)));
}

/**
 * A variable with memory of its own: times 1, since a clone would share the memory that an optimiser writes in place. What is held
 * as BF16 is never written, and shared.
 */
export function copyOf(parameter: tf.Variable): tf.Variable {
  if (isBfloat16(parameter)) return tf.tidy(() => tf.variable(parameter.clone(), false));
  return tf.tidy(() => tf.variable(tf.mul(parameter, 1)));
}
