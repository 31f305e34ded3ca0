import { DomainError } from '@surefoot/errors';
import { randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from './config';
import { assertWeightsFit } from './memory-room';
import { copyOf, modelFromValues, type LanguageModel } from './model';
import { familyOf, parameterSpecs, type ParameterSpec } from './parameters';
import { writeModel, type WrittenForm } from './write-model';

/** Standard deviations of a new model's parameters; biases are 0, gains 1. */
export interface Initialisation {
  tokenEmbedding: number;
  positionEmbedding: number;
  /** Of an untied language-model head or a reward head. */
  head: number;
  /** `fan-in`: one over the root of the number of inputs. */
  matrices: 'fan-in' | number;
  /** Divides matrices whose product is added to the hidden state by sqrt(2 · layers). */
  outputProjectionsByDepth: boolean;
}

/** As transformers initialises GPT-2. */
const defaultInitialisation: Initialisation = {
  tokenEmbedding: 0.02,
  positionEmbedding: 0.02,
  head: 0.02,
  matrices: 0.02,
  outputProjectionsByDepth: true,
};

/**
 * A randomly initialised model; the same seed gives the same bits.
 *
 * @param seed every parameter has a stream of its own, so that models of different size share what they have in common
 * @throws DomainError resource_exhausted if the parameters do not fit on the open backend
 */
export function createModel(
  config: ModelConfig,
  seed: number | bigint,
  initialisation: Initialisation = defaultInitialisation,
): LanguageModel {
  assertWeightsFit(config, 'a new model');
  const specs = new Map(parameterSpecs(config).map((spec) => [spec.name, spec]));
  return modelFromValues(config, (name) => initialValues(config, specs.get(name)!, seed, initialisation));
}

/**
 * A reward model on the trunk of another model: parameters copied, a new scalar head.
 *
 * @param seed of the head
 * @param headSd standard deviation of the head's weights
 * @throws DomainError failed_precondition where the model has an adapter, which the copy would be without; resource_exhausted if the
 *   copy does not fit on the open backend
 */
export function withRewardHead(model: LanguageModel, seed: number | bigint, headSd = 0.02): LanguageModel {
  refuseAdapter(model);
  const config: ModelConfig = { ...model.config, head: 'reward', tiedHead: false };
  assertWeightsFit(config, 'a reward model on this trunk');
  const parameters = new Map<string, tf.Variable>();
  const initialisation = { ...defaultInitialisation, head: headSd };
  for (const spec of parameterSpecs(config)) {
    const source = spec.role === 'head' ? undefined : model.parameters.get(spec.name);
    const fresh = () => tf.variable(tf.tensor(initialValues(config, spec, seed, initialisation), spec.shape));
    parameters.set(spec.name, source ? copyOf(source) : tf.tidy(fresh));
  }
  return { config, parameters };
}

/**
 * Reads an initialisation from JSON.
 *
 * @param source file named in errors
 * @throws DomainError invalid_argument listing fields that are unknown or out of range; fields left out keep their default
 */
export function parseInitialisation(raw: unknown, source: string): Initialisation {
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw))
    throw new DomainError('invalid_argument', `${source} is no JSON object`);
  const isSd = (value: unknown) => typeof value === 'number' && value >= 0 && value < Infinity;
  const problems = Object.entries(raw).flatMap(([field, value]) => {
    if (!Object.hasOwn(defaultInitialisation, field)) return [`unknown field ${field}`];
    if (field === 'outputProjectionsByDepth' ? typeof value === 'boolean' : isSd(value)) return [];
    return field === 'matrices' && value === 'fan-in' ? [] : [`${field} cannot be ${JSON.stringify(value)}`];
  });
  if (problems.length > 0) throw new DomainError('invalid_argument', `${source}: ${problems.join('; ')}`);
  return { ...defaultInitialisation, ...raw };
}

/**
 * Writes a randomly initialised model, with one piece of one parameter in memory and without a backend; its float32 values are
 * those of `createModel`.
 *
 * @throws DomainError as `writeModel`
 */
export async function writeNewModel(
  config: ModelConfig,
  seed: number | bigint,
  folder: string,
  {
    initialisation = defaultInitialisation,
    ...options
  }: WrittenForm & { tokenizerFolder: string; initialisation?: Initialisation | undefined },
): Promise<void> {
  const sources = parameterSpecs(config).map((spec) => ({
    name: spec.name,
    shape: spec.shape,
    pieces: () => initialPieces(config, spec, seed, initialisation),
  }));
  await writeModel(config, sources, folder, options);
}

/** Numbers that are drawn at a time. */
const pieceSize = 2 ** 22;

function* initialPieces(
  config: ModelConfig,
  spec: ParameterSpec,
  seed: number | bigint,
  initialisation: Initialisation,
): Generator<Float32Array> {
  const { name, shape, role } = spec;
  const sd = standardDeviation(spec, config.layers, initialisation);
  const random = randomStream(seed, 'initialise', name);
  for (let left = sizeOf(shape); left > 0; left -= pieceSize) {
    const values = new Float32Array(Math.min(left, pieceSize));
    if (role === 'gain') values.fill(1 - familyOf(config).gainOffset);
    else if (role !== 'bias') random.normals(values, sd);
    yield values;
  }
}

function initialValues(
  config: ModelConfig,
  spec: ParameterSpec,
  seed: number | bigint,
  initialisation: Initialisation,
): Float32Array {
  const values = new Float32Array(sizeOf(spec.shape));
  let at = 0;
  for (const piece of initialPieces(config, spec, seed, initialisation)) {
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}

function standardDeviation(
  { role, inputs = 1 }: ParameterSpec,
  layers: number,
  { tokenEmbedding, positionEmbedding, head, matrices, outputProjectionsByDepth }: Initialisation,
): number {
  if (role === 'token-embedding') return tokenEmbedding;
  if (role === 'position-embedding') return positionEmbedding;
  if (role === 'head') return head;
  const matrix = matrices === 'fan-in' ? 1 / Math.sqrt(inputs) : matrices;
  return role === 'output-projection' && outputProjectionsByDepth ? matrix / Math.sqrt(2 * layers) : matrix;
}

function sizeOf(shape: number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * A copy that shares nothing with the original but what is held as BF16, which nobody changes. It keeps the digest, for its
 * parameters are still those of the files, and frozen parameters stay frozen.
 *
 * @throws DomainError failed_precondition where the model has an adapter; resource_exhausted, before anything is allocated, where
 *   it does not fit beside what there is
 */
export function cloneModel(model: LanguageModel): LanguageModel {
  refuseAdapter(model);
  if (model.weights?.form !== 'bf16-mapped') assertWeightsFit(model.config, 'a copy of the model');
  const parameters = new Map<string, tf.Variable>();
  for (const [name, parameter] of model.parameters) parameters.set(name, copyOf(parameter));
  return { ...model, parameters };
}

function refuseAdapter({ adapter }: LanguageModel): void {
  if (adapter)
    throw new DomainError('failed_precondition', 'a model with an adapter cannot be copied: merge the adapter first');
}
