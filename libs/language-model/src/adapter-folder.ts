import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile, digestText, readJson, writeFileAtomically } from '@surefoot/files';
import { readSafetensors, writeSafetensors, type StoredTensor } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { adapterParameters, freeze, type Adapter, type LowRankPair } from './adapter';
import { adapterConfigJson, parseAdapterConfig, type AdapterConfig } from './adapter-config';
import { planAdapter, type AdapterPlan, type PlannedPair } from './adapter-targets';
import type { ModelConfig } from './config';
import type { LanguageModel } from './model';
import { embeddingTable } from './parameters';
import { piecesOf } from './parameter-pieces';
import { tokenizerFileNames } from './tokenizer-files';

/** What an adapter folder holds, on the host. */
export interface StoredAdapter {
  config: AdapterConfig;
  /** Of the model with the adapter on it. */
  adapted: ModelConfig;
  plan: AdapterPlan;
  /** By the names of `adapterParameters`. */
  tensors: Map<string, StoredTensor>;
  /** Of the model's parameters, by their names, one maybe twice. PEFT adds them where the head is a target or the vocabulary was changed. */
  copies: [string, StoredTensor][];
  /** The file of the tensors. */
  path: string;
  /** sha256 of adapter_model.safetensors. */
  digest: string;
}

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';
const prefix = 'base_model.model.';

/** Whether a folder holds an adapter and no model. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, configFile));
}

/** Reads adapter_config.json. @throws DomainError not_found, invalid_argument as `parseAdapterConfig` */
export async function readAdapterConfig(folder: string): Promise<AdapterConfig> {
  if (!existsSync(folder)) throw new DomainError('not_found', `adapter folder ${folder} does not exist`);
  const path = join(folder, configFile);
  return parseAdapterConfig(await readJson(path), path);
}

/**
 * Reads an adapter folder as PEFT writes it.
 *
 * @param model that it is for
 * @throws DomainError not_found where a file is missing; failed_precondition where it is for a model with another head;
 *   invalid_argument naming file and field or tensor for whatever does not belong to the model
 */
export async function readAdapter(folder: string, model: ModelConfig): Promise<StoredAdapter> {
  const config = await readAdapterConfig(folder);
  const path = join(folder, weightsFile);
  if (!existsSync(path) && existsSync(join(folder, 'adapter_model.bin')))
    throw new DomainError(
      'invalid_argument',
      `${folder} holds its weights as adapter_model.bin: pickled files can run code when they are read, save it as ${weightsFile}`,
    );
  const adapted = adaptedConfig(model, config, folder);
  const plan = planAdapter(config, adapted, join(folder, configFile));
  const { tensors: stored } = await readSafetensors(path);
  const tensors = new Map<string, StoredTensor>();
  const madeFor = config.base ? `; the adapter was made for ${config.base}` : '';
  const take = (name: string, shape: number[]) => {
    const key = prefix + name;
    const tensor = stored.get(key);
    if (!tensor) throw invalid(path, `tensor ${key} is missing${madeFor}`);
    if (tensor.shape.join() !== shape.join())
      throw invalid(
        path,
        `tensor ${key} has shape [${tensor.shape.join(', ')}], model and ${configFile} make it [${shape.join(', ')}]${madeFor}`,
      );
    if (!tensor.data.every(Number.isFinite)) throw invalid(path, `tensor ${key} holds values that are not finite`);
    stored.delete(key);
    return tensor;
  };
  for (const [name, shape] of plannedShapes(plan)) tensors.set(name, take(name, shape));
  const copies: StoredAdapter['copies'] = [];
  for (const [name, parameter] of copiedNames(adapted))
    if (stored.has(prefix + name)) copies.push([parameter, take(name, [adapted.vocabularySize, adapted.hiddenSize])]);
  for (const key of stored.keys()) throw invalid(path, `tensor ${key} belongs to nothing that ${configFile} targets`);
  return { config, adapted, plan, tensors, copies, path, digest: await digestFile(path) };
}

/** Names under which PEFT adds what it takes for embeddings, and the parameters that they are. */
function copiedNames(model: ModelConfig): [string, string][] {
  const table = embeddingTable(model);
  if (model.head === 'reward') return [[table, table]];
  const head = model.tiedHead ? table : 'lm_head.weight';
  return [
    [table, table],
    ['lm_head.weight', head],
    ['lm_head.base_layer.weight', head],
  ];
}

/** Rounding to BF16, relative, and to F16, absolute where numbers are small: an adapter's training may have held a copy so. */
const [relativeRounding, smallestStep] = [2 ** -8, 2 ** -24];

/**
 * Refuses an adapter that was made on a model with another embedding or head than this one: PEFT would put its own in their place.
 *
 * @param valuesOf a parameter of the model, in pieces
 * @throws DomainError invalid_argument naming file and parameter
 */
export async function assertCopies(
  { copies, path }: Pick<StoredAdapter, 'copies' | 'path'>,
  valuesOf: (name: string) => AsyncIterable<Float32Array>,
): Promise<void> {
  for (const [name, { data }] of copies) {
    let at = 0;
    for await (const piece of valuesOf(name))
      for (const value of piece)
        if (!(Math.abs(data[at++]! - value) <= smallestStep + relativeRounding * Math.abs(value)))
          throw invalid(
            path,
            `holds another ${name} than the model: it was made on a model with another vocabulary, or trained it`,
          );
  }
}

/**
 * A model with the adapter of a folder on it. The parameters are the model's own, shared and frozen from now on: several
 * adapters may be loaded onto one model.
 *
 * An adapter for sequence classification makes a reward model of the trunk of a language model, with the adapter's score head.
 *
 * @returns the caller disposes the adapter (`disposeAdapter`), and the model apart
 * @throws DomainError as `readAdapter`
 */
export async function loadAdapter(model: LanguageModel, folder: string): Promise<LanguageModel & { adapter: Adapter }> {
  const stored = await readAdapter(folder, model.config);
  await assertCopies(stored, (name) => piecesOf(model.parameters.get(name)!));
  return withAdapter(model, stored);
}

/** A model with an adapter that was read for it; as `loadAdapter`. */
export function withAdapter(model: LanguageModel, stored: StoredAdapter): LanguageModel & { adapter: Adapter } {
  const { config, adapted, plan, tensors, digest } = stored;
  const variable = (name: string) => {
    const { data, shape } = tensors.get(name)!;
    return tf.tidy(() => tf.variable(tf.tensor(data, shape)));
  };
  const pair = ({ name, scaling }: PlannedPair): [string, LowRankPair] => [
    name,
    { a: variable(`${name}.lora_A.weight`), b: variable(`${name}.lora_B.weight`), scaling },
  ];
  const adapter: Adapter = {
    config,
    pairs: new Map(plan.pairs.map(pair)),
    replaced: new Map(plan.saved.map(({ name }) => [name, variable(name)])),
  };
  freeze(model);
  const isKept = ([name]: [string, unknown]) => adapted.head === model.config.head || name !== 'lm_head.weight';
  const digests = model.digest !== undefined && { digest: digestText(model.digest + digest) };
  return { config: adapted, parameters: new Map([...model.parameters].filter(isKept)), adapter, ...digests };
}

/**
 * Fills a folder with the adapter of a model, so that PEFT loads it: adapter_config.json, adapter_model.safetensors and the
 * tokenizer's files. Publish the folder as a whole (`publishFolder`); writing here is not atomic.
 *
 * @param options.base folder or name of the model it belongs to, as adapter_config.json shall say
 * @param options.tokenizerFolder folder whose tokenizer files are copied; default none
 * @throws DomainError failed_precondition where the model has no adapter; diverged if a parameter is not finite, and then
 *   nothing is written
 */
export async function saveAdapter(
  { adapter }: Pick<LanguageModel, 'adapter'>,
  folder: string,
  { base, tokenizerFolder }: { base: string; tokenizerFolder?: string },
): Promise<void> {
  if (!adapter) throw new DomainError('failed_precondition', 'the model has no adapter to save: save the model');
  const tensors: [string, StoredTensor][] = [];
  for (const [name, parameter] of adapterParameters(adapter)) {
    const data = (await parameter.data()) as Float32Array;
    if (!data.every(Number.isFinite)) throw new DomainError('diverged', `parameter ${name} is not finite: not saved`);
    tensors.push([prefix + name, { shape: parameter.shape, data }]);
  }
  const json = `${JSON.stringify(adapterConfigJson(adapter.config, base), null, 2)}\n`;
  await writeFileAtomically(join(folder, configFile), json);
  await writeSafetensors(join(folder, weightsFile), tensors, { format: 'pt' });
  if (tokenizerFolder === undefined) return;
  for (const name of tokenizerFileNames)
    if (existsSync(join(tokenizerFolder, name))) await copyFile(join(tokenizerFolder, name), join(folder, name));
}

/** Names and shapes of an adapter's parameters, in the order of `adapterParameters`. */
function plannedShapes({ pairs, saved }: AdapterPlan): [string, number[]][] {
  return [
    ...pairs.flatMap(({ name, rank, inputs, outputs }): [string, number[]][] => [
      [`${name}.lora_A.weight`, [rank, inputs]],
      [`${name}.lora_B.weight`, [outputs, rank]],
    ]),
    ...saved.map(({ name, shape }): [string, number[]] => [name, shape]),
  ];
}

/** The config of a model under an adapter. */
function adaptedConfig(model: ModelConfig, { task }: AdapterConfig, folder: string): ModelConfig {
  if (task === 'SEQ_CLS' && model.head === 'causal-lm') return { ...model, head: 'reward', tiedHead: false };
  if (task === 'CAUSAL_LM' && model.head === 'reward')
    throw new DomainError(
      'failed_precondition',
      `${folder} is an adapter of a causal-lm model, the model it is to be put on is a reward model`,
    );
  return model;
}

function invalid(path: string, problem: string): DomainError {
  return new DomainError('invalid_argument', `${path}: ${problem}`);
}
