import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import { writeSafetensors, type StoredTensor } from '@surefoot/tensor';
import { readAdapter, withAdapter } from './adapter-folder';
import { modelConfigJson, parseModelConfig, type ModelConfig, type ModelHead } from './config';
import { assertWeightsFit } from './memory-room';
import { modelFromValues, type LanguageModel } from './model';
import { tokenizerFileNames } from './tokenizer-files';
import type { Tokenizer } from './tokenizer';
import { readWeights } from './weight-files';

/**
 * Reads config.json of a model folder; where generation_config.json names other eos tokens, as chat models do, those count.
 *
 * @throws DomainError not_found, invalid_argument naming the file and all that is wrong with it
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  if (!existsSync(folder)) throw new DomainError('not_found', `model folder ${folder} does not exist`);
  const path = join(folder, 'config.json');
  const raw = await readJson(path);
  const config = parseModelConfig(raw, path);
  const generationPath = join(folder, 'generation_config.json');
  if (!existsSync(generationPath)) return config;
  const eos = ((await readJson(generationPath)) as { eos_token_id?: unknown } | null)?.eos_token_id;
  if (eos == null) return config;
  const { eosTokenIds } = parseModelConfig({ ...config.raw, eos_token_id: eos }, generationPath);
  return { ...config, eosTokenIds };
}

/**
 * Loads a model folder in Hugging Face layout onto the open backend.
 *
 * @param options.head    the head that is needed; default whatever the folder has
 * @param options.adapter folder of an adapter that is put on it; the parameters of the model are frozen then
 * @throws DomainError not_found, invalid_argument naming file and weight; failed_precondition if the folder has another head;
 *   resource_exhausted, before the weights are read, if they do not fit on the backend
 */
export async function loadModel(
  folder: string,
  options: { head?: ModelHead; adapter?: string } = {},
): Promise<LanguageModel> {
  const config = await readModelConfig(folder);
  const adapter = options.adapter === undefined ? undefined : await readAdapter(options.adapter, config);
  const { head } = adapter?.adapted ?? config;
  if (options.head && options.head !== head)
    throw new DomainError(
      'failed_precondition',
      `${options.adapter ?? folder} is a ${head} model, a ${options.head} model is needed here`,
    );
  assertWeightsFit(config, folder);
  const { tensors, digest } = await readWeights(folder, config);
  const model = modelFromValues(config, (name) => tensors.get(name)!.data, digest);
  if (!adapter) return model;
  const adapted = withAdapter(model, adapter);
  // The head of a language model whose trunk became a reward model.
  for (const [name, parameter] of model.parameters) if (!adapted.parameters.has(name)) parameter.dispose();
  return adapted;
}

/**
 * Fills a folder with a model that transformers loads: config.json, model.safetensors, generation_config.json and the
 * tokenizer's files. Publish the folder as a whole (`publishFolder`); writing here is not atomic.
 *
 * @param options.tokenizerFolder folder whose tokenizer files are copied
 * @throws DomainError failed_precondition if the model has an adapter: merge it, or save it with `saveAdapter`; diverged if a
 *   parameter is not finite, and then nothing is written; as `writeFileAtomically`
 */
export async function saveModel(
  model: LanguageModel,
  folder: string,
  { tokenizerFolder }: { tokenizerFolder: string },
): Promise<void> {
  if (model.adapter)
    throw new DomainError('failed_precondition', 'a model with an adapter is saved as an adapter, or merged first');
  const tensors = await storedParameters(model);
  const json = (name: string, value: unknown) =>
    writeFileAtomically(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  const config = modelConfigJson(model.config);
  await json('config.json', config);
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  const generation = ['bos_token_id', 'eos_token_id', 'pad_token_id'].map((name) => [name, config[name]]);
  if (model.config.head === 'causal-lm') await json('generation_config.json', Object.fromEntries(generation));
  for (const name of tokenizerFileNames)
    if (existsSync(join(tokenizerFolder, name))) await copyFile(join(tokenizerFolder, name), join(folder, name));
}

async function storedParameters(model: LanguageModel): Promise<[string, StoredTensor][]> {
  const tensors: [string, StoredTensor][] = [];
  for (const [name, parameter] of model.parameters) {
    const data = (await parameter.data()) as Float32Array;
    if (!data.every(Number.isFinite)) throw new DomainError('diverged', `parameter ${name} is not finite: not saved`);
    tensors.push([name, { shape: parameter.shape, data }]);
  }
  return tensors;
}

/**
 * Refuses a tokenizer that can produce ids the model has no embedding for. A model may have more rows than ids.
 *
 * @throws DomainError failed_precondition
 */
export function assertVocabularyFits(tokenizer: Tokenizer, { vocabularySize }: ModelConfig): void {
  if (tokenizer.vocabularySize > vocabularySize)
    throw new DomainError(
      'failed_precondition',
      `the tokenizer has ids up to ${tokenizer.vocabularySize - 1}, the model's embedding ${vocabularySize} rows: they do not belong together`,
    );
}
