import { DomainError } from '@surefoot/errors';
import { float32Of, randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { newAdapterConfig, type AdapterConfig, type AdapterSettings } from './adapter-config';
import { planAdapter } from './adapter-targets';
import type { LanguageModel } from './model';
import { familyOf } from './parameters';

/** A low-rank change of one linear module: `y += scaling · B (A x)`. */
export interface LowRankPair {
  /** [r, in] */
  a: tf.Variable;
  /** [out, r] */
  b: tf.Variable;
  /** alpha / r, or alpha / sqrt(r) with rank-stabilised scaling (arXiv:2312.03732). */
  scaling: number;
}

/**
 * A low-rank adapter on a model whose own parameters are frozen.
 *
 * Source: Hu et al. 2021, arXiv:2106.09685.
 */
export interface Adapter {
  readonly config: AdapterConfig;
  /** By the module that each changes, for example `model.layers.0.self_attn.q_proj`. */
  readonly pairs: ReadonlyMap<string, LowRankPair>;
  /** Parameters in the place of the model's, by its names: the modules that are trained whole. */
  readonly replaced: ReadonlyMap<string, tf.Variable>;
}

/** What of an adapter is trained, by name; in the order in which it was read or made. */
export function adapterParameters({ pairs, replaced }: Adapter): Map<string, tf.Variable> {
  const ofPairs = [...pairs].flatMap(([name, { a, b }]): [string, tf.Variable][] => [
    [`${name}.lora_A.weight`, a],
    [`${name}.lora_B.weight`, b],
  ]);
  return new Map([...ofPairs, ...replaced]);
}

/** Standard deviation of a score head that the model has none to begin from. */
const headSd = 0.02;

/**
 * A model with a new adapter on it, which changes nothing yet: A is uniform within `1 / sqrt(inputs)` on both sides of 0, as
 * PEFT's Kaiming initialisation makes it, B is 0, and modules trained whole begin as the model's. The parameters are the model's
 * own, shared and frozen from now on.
 *
 * @param seed every parameter has a stream of its own
 * @returns the caller disposes the adapter (`disposeAdapter`), and the model apart
 * @throws DomainError invalid_argument as `parseAdapterConfig` and `planAdapter`
 */
export function createAdapter(
  model: LanguageModel,
  settings: AdapterSettings,
  seed: number | bigint,
): LanguageModel & { adapter: Adapter } {
  const config = newAdapterConfig(model, settings);
  const { pairs, saved } = planAdapter(config, model.config, 'the settings of the adapter');
  const variable = (shape: number[], valueAt: () => number) =>
    tf.tidy(() => tf.variable(tf.tensor(Float32Array.from({ length: sizeOf(shape) }, valueAt), shape)));
  const adapter: Adapter = {
    config,
    pairs: new Map(
      pairs.map(({ name, inputs, outputs, rank, scaling }) => {
        const random = randomStream(seed, 'adapter', name);
        const a = variable([rank, inputs], () => (2 * random.uniform() - 1) / Math.sqrt(inputs));
        return [name, { a, b: variable([outputs, rank], () => 0), scaling }];
      }),
    ),
    replaced: new Map(
      saved.map(({ name, shape }) => {
        const source = model.parameters.get(name);
        const random = randomStream(seed, 'adapter', name);
        return [
          name,
          source
            ? tf.tidy(() => tf.variable(tf.mul(float32Of<tf.Tensor>(source), 1)))
            : variable(shape, () => headSd * random.normal()),
        ];
      }),
    ),
  };
  freeze(model);
  return { ...model, adapter };
}

/** Frees an adapter, not the model that it is on. */
export function disposeAdapter({ adapter }: Pick<LanguageModel, 'adapter'>): void {
  if (adapter) tf.dispose([...adapterParameters(adapter).values()]);
}

/** No gradient in a model's parameters is computed any more. */
export function freeze({ parameters }: Pick<LanguageModel, 'parameters'>): void {
  for (const parameter of parameters.values()) parameter.trainable = false;
}

/**
 * The model with its adapter worked into its weights, `W + scaling · B A`: computes the same in one product a module.
 *
 * Only what the adapter changes is new, everything else is the model's own, so that undoing it is exact.
 *
 * @returns `unmergeAdapter` frees what is new
 * @throws DomainError failed_precondition where the model has no adapter
 */
export function mergeAdapter(model: LanguageModel): LanguageModel {
  const { adapter, ...base } = model;
  if (!adapter) throw new DomainError('failed_precondition', 'the model has no adapter to merge');
  const parameters = new Map(model.parameters);
  const frozen = (value: tf.Tensor) => tf.variable(value, false);
  for (const [name, parameter] of adapter.replaced)
    parameters.set(
      name,
      tf.tidy(() => frozen(tf.mul(parameter, 1))),
    );
  for (const [name, pair] of adapter.pairs) {
    const weight = `${name}.weight`;
    const change = () => weightChange(pair, isStoredInputsFirst(model, name));
    parameters.set(
      weight,
      tf.tidy(() => frozen(tf.add(float32Of<tf.Tensor>(model.parameters.get(weight)!), change()))),
    );
  }
  return { ...base, parameters };
}

/** Frees what `mergeAdapter` made; the model it was made of is as before. */
export function unmergeAdapter(merged: LanguageModel, model: LanguageModel): void {
  for (const [name, parameter] of merged.parameters) if (parameter !== model.parameters.get(name)) parameter.dispose();
}

/** `scaling · B A` as the weight is stored. @param isInputsFirst [in, out] and not [out, in] */
export function weightChange(
  { a, b, scaling }: { a: tf.Tensor; b: tf.Tensor; scaling: number },
  isInputsFirst: boolean,
) {
  return tf.tidy(() => {
    const product = isInputsFirst ? tf.matMul(tf.transpose(a), tf.transpose(b)) : tf.matMul(b, a);
    return tf.mul(product, scaling);
  });
}

/** Whether a linear module's weight is stored [in, out]; heads never are. */
export function isStoredInputsFirst({ config }: Pick<LanguageModel, 'config'>, name: string): boolean {
  return familyOf(config).isConv1d && !/^(lm_head|score)$/.test(name);
}

function sizeOf(shape: number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
