import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile, digestText, readJson } from '@surefoot/files';
import { readSafetensors, type StoredTensor } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import { canonicalName, parameterShapes } from './parameters';

/** What the weight files of a model folder hold. */
export interface StoredWeights {
  /** By our names; exactly the parameters of the config, each of its shape. */
  tensors: Map<string, StoredTensor>;
  /** Of one file its sha256, of shards the sha256 over theirs in the order of their names. */
  digest: string;
  /** Of the files together. */
  bytes: number;
}

/**
 * Reads model.safetensors, or the shards that model.safetensors.index.json names.
 *
 * @throws DomainError not_found where a file is missing; invalid_argument naming file and tensor for a damaged file and for a
 *   weight that is missing, extra, given twice, or of another shape than the config says
 */
export async function readWeights(folder: string, config: ModelConfig): Promise<StoredWeights> {
  const files = await weightFiles(folder);
  const found = new Map<string, { file: string; tensor: StoredTensor }>();
  for (const file of files) {
    const { tensors } = await readSafetensors(file);
    for (const [stored, tensor] of tensors) {
      const name = canonicalName(config, stored);
      // A tied head may be stored once more beside the embedding table it shares; a reward model has no use for one.
      if (name === undefined || (name === 'lm_head.weight' && (config.tiedHead || config.head === 'reward'))) continue;
      const other = found.get(name);
      if (other) throw invalid(file, stored, `is given twice, also in ${basename(other.file)}`);
      found.set(name, { file, tensor });
    }
  }
  const tensors = checkAgainstConfig(found, config, files);
  const digests = await Promise.all(files.map(digestFile));
  const digest = digests.length === 1 ? digests[0]! : digestText(digests.join(''));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return { tensors, digest, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

function checkAgainstConfig(
  found: Map<string, { file: string; tensor: StoredTensor }>,
  config: ModelConfig,
  files: string[],
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, shape] of parameterShapes(config)) {
    const entry = found.get(name);
    if (!entry) throw invalid(files.map((file) => basename(file)).join(', '), name, 'is missing');
    const stored = entry.tensor.shape;
    if (stored.join() !== shape.join())
      throw invalid(entry.file, name, `has shape [${stored.join(', ')}], config.json makes it [${shape.join(', ')}]`);
    tensors.set(name, entry.tensor);
    found.delete(name);
  }
  for (const [name, { file }] of found) throw invalid(file, name, 'belongs to no part of the model of config.json');
  return tensors;
}

/** The weight files of a model folder, in the order of their names. @throws DomainError not_found, invalid_argument */
export async function weightFiles(folder: string): Promise<string[]> {
  const single = join(folder, 'model.safetensors');
  if (existsSync(single)) return [single];
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index))
    throw new DomainError('not_found', `${folder} holds no model.safetensors and no model.safetensors.index.json`);
  const map = ((await readJson(index)) as { weight_map?: unknown } | null)?.weight_map;
  const names = map !== null && typeof map === 'object' ? [...new Set(Object.values(map))] : [];
  // A shard is a file of this folder: an index cannot point elsewhere.
  const isFileName = (name: unknown) => typeof name === 'string' && name === basename(name) && name !== '..';
  if (names.length === 0 || !names.every(isFileName))
    throw new DomainError('invalid_argument', `${index} has no weight_map from weights to file names`);
  return names.sort().map((name) => join(folder, name));
}

function invalid(file: string, tensor: string, problem: string): DomainError {
  return new DomainError('invalid_argument', `${file}: weight ${tensor} ${problem}`);
}
