import { randomUUID } from 'node:crypto';
import { copyFile, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileError, makeFolder, writeFileAtomically } from '@surefoot/files';
import type { HubFile } from './repository';

/** Where Python's huggingface_hub keeps one model's repository, so that each finds what the other has pulled. */
export interface RepositoryCache {
  /** The content of a file, named by its digest. */
  blob(file: HubFile): string;
  /** What has arrived of it. Not the name that Python writes to: that is its own. */
  partial(file: HubFile): string;
  lock(file: HubFile): string;
  /** A link to the blob, at the file's own path below its commit. */
  pointer(commit: string, file: HubFile): string;
  ref(revision: string): string;
}

export function repositoryCache(cache: string, name: string): RepositoryCache {
  const folderName = `models--${name.replaceAll('/', '--')}`;
  const folder = join(cache, folderName);
  const blob = (file: HubFile) => join(folder, 'blobs', file.digest.hex);
  return {
    blob,
    partial: (file) => `${blob(file)}.surefoot.incomplete`,
    lock: (file) => join(cache, '.locks', folderName, `${file.digest.hex}.surefoot.lock`),
    pointer: (commit, { path }) => join(folder, 'snapshots', commit, ...path.split('/')),
    ref: (revision) => join(folder, 'refs', ...revision.split('/')),
  };
}

/** Puts a relative link to the blob into a snapshot, or a copy where there are no links. @throws DomainError as the disk says */
export async function pointTo(blob: string, pointer: string): Promise<void> {
  const target = relative(dirname(pointer), blob);
  if ((await readlink(pointer).catch(() => undefined)) === target) return;
  await makeFolder(dirname(pointer));
  const beside = `${pointer}.${randomUUID()}.part`;
  try {
    await symlink(target, beside).catch(() => copyFile(blob, beside));
    await rename(beside, pointer);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw fileError(error, 'write', pointer);
  }
}

/** Notes which commit a branch or tag is. @throws DomainError as the disk says */
export async function writeRef(path: string, commit: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) === commit) return;
  await makeFolder(dirname(path));
  await writeFileAtomically(path, commit);
}
