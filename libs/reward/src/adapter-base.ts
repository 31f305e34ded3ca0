import { existsSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readAdapterConfig } from '@surefoot/language-model';

/**
 * The folder of the model that an adapter belongs to, as adapter_config.json names it: beside the adapter, or from the working
 * folder.
 *
 * @throws DomainError not_found where that is no model folder here, as with a name on a hub
 */
export async function adapterBase(folder: string): Promise<string> {
  const { base } = await readAdapterConfig(folder);
  const places = base === undefined ? [] : [resolve(folder, base), resolve(base)];
  const found = places.find((place) => existsSync(join(place, 'config.json')));
  if (found !== undefined) return found;
  const named = base === undefined ? 'names no base model' : `names the base model ${base}, which is no folder here`;
  throw new DomainError('not_found', `${folder}: adapter_config.json ${named}: say which folder holds the base model`);
}

/** How `ensemble.json` names a base: relative where it lies inside the ensemble's folder or beside it, else absolute. */
export function baseAsNoted(ensemble: string, base: string): string {
  const path = relative(resolve(ensemble), resolve(base));
  return isAbsolute(path) || path.startsWith(`..${sep}..`) ? resolve(base) : path;
}
