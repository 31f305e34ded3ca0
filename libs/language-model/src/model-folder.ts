import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson } from '@surefoot/files';
import type * as tf from '@tensorflow/tfjs';
import { assertCopies, isAdapterFolder, readAdapter, withAdapter } from './adapter-folder';
import { parseModelConfig, type ModelConfig, type ModelHead } from './config';
import { loadWeights, type WeightForm } from './load-weights';
import { disposeModel, type LanguageModel } from './model';
import { piecesOf } from './parameter-pieces';
import type { Tokenizer } from './tokenizer';
import { digestWeights, findWeights } from './weight-files';
import { writeModel, type WrittenForm } from './write-model';

/**
 * Reads config.json of a model folder; where generation_config.json names other eos tokens, as chat models do, those count.
 *
 * @throws DomainError not_found, invalid_argument naming the file and all that is wrong with it
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  if (!existsSync(folder)) throw new DomainError('not_found', `model folder ${folder} does not exist`);
  const path = join(folder, 'config.json');
  if (!existsSync(path) && isAdapterFolder(folder))
    throw new DomainError(
      'invalid_argument',
      `${folder} holds an adapter and no model: merge it into its base first (surefoot model merge), or give the base as the model and this as its adapter`,
    );
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
 * @param options.head      the head that is needed; default whatever the folder has
 * @param options.adapter   folder of an adapter that is put on it; the parameters of the model are frozen then
 * @param options.trainable false freezes the parameters: no gradient in them is computed; default true unless there is an adapter
 * @param options.weights   how they are held; default `auto`: mapped where nothing of them is trained, the backend can, the files
 *   are aligned and the model is large; what the user should know of it is in the model's `weights`
 * @throws DomainError not_found, invalid_argument naming file and weight; failed_precondition if the folder has another head, or
 *   where weights cannot be held as asked; resource_exhausted, before the weights are read, if they do not fit on the backend
 */
export async function loadModel(
  folder: string,
  options: { head?: ModelHead; adapter?: string; trainable?: boolean; weights?: WeightForm } = {},
): Promise<LanguageModel> {
  const config = await readModelConfig(folder);
  const adapter = options.adapter === undefined ? undefined : await readAdapter(options.adapter, config);
  const { head } = adapter?.adapted ?? config;
  if (options.head && options.head !== head)
    throw new DomainError(
      'failed_precondition',
      `${options.adapter ?? folder} is a ${head} model, a ${options.head} model is needed here`,
    );
  const { trainable = !adapter, weights: form = 'auto' } = options;
  const stored = await findWeights(folder, config);
  const digest = await digestWeights(stored.files);
  const model = { config, digest, ...(await loadWeights(config, stored, { form, trainable, what: folder })) };
  if (!adapter) return model;
  try {
    await assertCopies(adapter, (name) => piecesOf(model.parameters.get(name)!));
  } catch (error) {
    disposeModel(model);
    throw error;
  }
  const adapted = withAdapter(model, adapter);
  // The head of a language model whose trunk became a reward model.
  for (const [name, parameter] of model.parameters) if (!adapted.parameters.has(name)) parameter.dispose();
  return { ...adapted, weights: model.weights };
}

/**
 * Fills a folder with a model that transformers loads: config.json, the weights, generation_config.json and the tokenizer's
 * files. Publish the folder as a whole (`publishFolder`); writing here is not atomic.
 *
 * @param options.tokenizerFolder folder whose tokenizer files are copied
 * @param options.dtype           default f32; weights that were read from BF16 and not trained are the same bits in bf16
 * @param options.maxShardBytes   divides the weights into files of at most this size; default one file
 * @throws DomainError failed_precondition if the model has an adapter: merge it, or save it with `saveAdapter`; diverged if a
 *   parameter is not finite, and then nothing is written; as `writeFileAtomically`
 */
export async function saveModel(
  model: LanguageModel,
  folder: string,
  options: WrittenForm & { tokenizerFolder: string },
): Promise<void> {
  if (model.adapter)
    throw new DomainError('failed_precondition', 'a model with an adapter is saved as an adapter, or merged first');
  const sources = [...model.parameters].map(([name, parameter]) => ({
    name,
    shape: parameter.shape,
    pieces: () => finitePieces(name, parameter),
  }));
  await writeModel(model.config, sources, folder, options);
}

/** @throws DomainError diverged where a value is not finite */
async function* finitePieces(name: string, parameter: tf.Variable): AsyncGenerator<Float32Array> {
  for await (const piece of piecesOf(parameter)) {
    for (const value of piece)
      if (!(Math.abs(value) < Infinity))
        throw new DomainError('diverged', `parameter ${name} is not finite: not saved`);
    yield piece;
  }
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
