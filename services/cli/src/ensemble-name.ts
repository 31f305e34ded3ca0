import { basename, resolve } from 'node:path';

/** A folder's name as a model name: what the services accept. */
export function ensembleName(folder: string): string {
  const name = basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, '-');
  return /^[a-z0-9]/.test(name) ? name.slice(0, 63) : 'ensemble';
}
