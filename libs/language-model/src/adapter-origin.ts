import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '@surefoot/errors';
import { readAdapterConfig } from './adapter-folder';
import { readModelConfig } from './model-folder';
import { digestWeights, findWeights } from './weight-files';

/**
 * What a user should know before an adapter is put on a model: that adapter_config.json names another one. Shapes alone do not
 * tell, because models of one family share them.
 *
 * @param adapter its folder
 * @param model folder of the model that it is to be put on
 * @returns undefined where it names this model, a copy of it, a folder or repository of its name that is not here, or none
 * @throws DomainError as `readAdapterConfig`
 */
export async function adapterOriginNote(adapter: string, model: string): Promise<string | undefined> {
  const { base } = await readAdapterConfig(adapter);
  if (base === undefined || base === '') return undefined;
  const named = [resolve(adapter, base), resolve(base)].find((place) => existsSync(join(place, 'config.json')));
  const isSame = named === undefined ? hasNameOf(base, model) : await isSameModel(named, model);
  return isSame ? undefined : `adapter ${adapter} says it was made for ${base}, not for ${model}`;
}

function hasNameOf(base: string, model: string): boolean {
  const parts = resolve(model).split(sep);
  // The cache of the hub keeps a repository's files below a folder of its name.
  return parts.at(-1) === basename(base) || parts.includes(`models--${base.replaceAll('/', '--')}`);
}

async function isSameModel(named: string, model: string): Promise<boolean> {
  if ((await realpath(named)) === (await realpath(model))) return true;
  try {
    return await haveSameContent(named, model);
  } catch (error) {
    if (error instanceof DomainError) return false;
    throw error;
  }
}

async function haveSameContent(a: string, b: string): Promise<boolean> {
  const [config, other] = [await readModelConfig(a), await readModelConfig(b)];
  if (!isDeepStrictEqual({ ...config, raw: null }, { ...other, raw: null })) return false;
  const [weights, others] = [await findWeights(a, config), await findWeights(b, other)];
  // Digests of large models take seconds.
  return weights.bytes === others.bytes && (await digestWeights(weights.files)) === (await digestWeights(others.files));
}
