import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile, readJson } from '@surefoot/files';
import {
  convertModel,
  readModelConfig,
  saveModel,
  type LanguageModel,
  type ModelConfig,
} from '@surefoot/language-model';
import { readSafetensors } from '@surefoot/tensor';
import type * as tf from '@tensorflow/tfjs';
import { headName, rewardConfig } from './reward-head';
import { lastShard, linkModel, shareWeights } from './weight-links';

/** The folder of the trunk inside an ensemble of heads. */
export const trunkName = 'trunk';

/**
 * Fills a folder with a base model as it is, its weight files by link.
 *
 * A reward model's head would stand beside those of the members, so such a model is written anew without it: BF16 where all of
 * it is, else as float32, one piece of one weight in memory.
 *
 * @throws DomainError as `convertModel`
 */
export async function linkTrunk(base: string, folder: string): Promise<void> {
  if ((await readModelConfig(base)).head === 'reward') await convertModel(base, folder, { trunkOnly: true });
  else await linkModel(base, folder);
}

/** Fills a folder with a reward model without its head: a language model whose head is its embedding table. */
export async function saveTrunk(model: LanguageModel, folder: string, tokenizerFolder: string): Promise<void> {
  const parameters = new Map([...model.parameters].filter(([name]) => name !== headName && name !== 'lm_head.weight'));
  const config: ModelConfig = { ...model.config, head: 'causal-lm', tiedHead: true };
  await saveModel({ config, parameters }, folder, { tokenizerFolder });
}

/**
 * Fills a folder with a reward model of a trunk and a head: the trunk's files by link, the head in one of its own.
 *
 * @param head [1, H]
 * @throws DomainError diverged where the head is not finite
 */
export async function saveHead(trunk: string, head: tf.Variable, folder: string): Promise<void> {
  const config = rewardConfig(await readModelConfig(trunk));
  const parameters = new Map([[headName, head]]);
  await saveModel({ config, parameters }, folder, { tokenizerFolder: trunk });
  const file = await lastShard(trunk);
  await rename(join(folder, 'model.safetensors'), join(folder, file));
  await shareWeights(trunk, folder, { file, names: [headName], bytes: 4 * config.hiddenSize });
}

/**
 * Reads the head of such a folder.
 *
 * @returns `values` [H] and the sha256 of its file
 * @throws DomainError not_found; invalid_argument naming the file that does not hold it
 */
export async function readHead(folder: string): Promise<{ values: Float32Array; sha256: string }> {
  const index = join(folder, 'model.safetensors.index.json');
  const map = ((await readJson(index)) as { weight_map?: Record<string, unknown> } | null)?.weight_map;
  const file = map?.[headName];
  if (typeof file !== 'string' || file !== basename(file) || !existsSync(join(folder, file)))
    throw new DomainError('invalid_argument', `${index} does not name the file that holds ${headName}`);
  const path = join(folder, file);
  const { tensors } = await readSafetensors(path);
  const head = tensors.get(headName);
  if (!head || tensors.size !== 1)
    throw new DomainError('invalid_argument', `${path} must hold ${headName} and nothing else`);
  return { values: head.data, sha256: await digestFile(path) };
}
