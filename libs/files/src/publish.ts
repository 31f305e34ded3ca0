import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { fileError } from './file-error';

/**
 * Writes a file so that readers see the old content or the new, never a part: written beside, flushed, renamed.
 * A link, pipe or device that stands there is replaced: a folder from elsewhere must not say what else is written. A file that
 * a user names goes through `writeOutput`.
 *
 * @param data whole, or in pieces that are asked for one after the other; whatever these throw is thrown on
 * @throws DomainError failed_precondition (read-only, not a folder), resource_exhausted (disk full); the old file stays
 */
export async function writeFileAtomically(
  path: string,
  data: string | Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  await writeWhole(await createWholeFile(path), data);
}

/** Writes all of a file and publishes it, or discards it. @throws what its write or publish does */
export async function writeWhole(file: WholeFile, data: Parameters<WholeFile['write']>[0]): Promise<void> {
  try {
    await file.write(data);
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.publish();
}

/** A file that is being written beside its place. */
export interface WholeFile {
  /** Adds to what was written before; one call after the other. @throws as `writeFileAtomically` */
  write(data: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<void>;
  /** Puts it in its place, in that of an old file too. @throws as `writeFileAtomically`; then nothing is left beside */
  publish(): Promise<void>;
  /** Leaves nothing behind, and an old file as it is. */
  discard(): Promise<void>;
}

/**
 * The same as `writeFileAtomically`, for who has the pieces one after the other. Ends in `publish` or `discard`.
 *
 * @param name what errors call it, where that is not the path
 */
export async function createWholeFile(path: string, name = path): Promise<WholeFile> {
  const beside = join(dirname(path), `.${basename(path)}.${randomUUID()}.part`);
  const naming = (error: unknown): never => {
    throw fileError(error, 'write', name);
  };
  const handle = await open(beside, 'wx').catch(naming);
  const discard = async () => {
    await handle.close().catch(() => undefined);
    await rm(beside, { force: true }).catch(() => undefined);
  };
  return {
    write: (data) => handle.writeFile(data).catch(naming),
    discard,
    async publish() {
      try {
        await handle.sync();
        await handle.close();
        await rename(beside, path);
      } catch (error) {
        await discard();
        naming(error);
      }
    },
  };
}

/**
 * Makes a folder, and those above it that are missing.
 *
 * @throws DomainError failed_precondition (read-only, a file in the way), resource_exhausted (disk full)
 */
export async function makeFolder(path: string): Promise<void> {
  const target = resolve(path);
  try {
    // Node's recursive mkdir answers "does not exist" where the file system is read-only; a plain one tells the truth.
    let topmost = target;
    while (!existsSync(dirname(topmost))) topmost = dirname(topmost);
    if (!existsSync(topmost)) await mkdir(topmost).catch(unlessExisting);
    await mkdir(target, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new DomainError('failed_precondition', `cannot write ${path}: it is a file, no folder`, { cause: error });
    throw fileError(error, 'write', path);
  }
}

// Another call may make the same folder at this moment.
function unlessExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

/**
 * Fills a folder beside `path` and renames it into place, so that `path` is complete or absent.
 *
 * @param write fills the folder it is given
 * @param options.replace true to put the new folder in the place of an existing one; otherwise that is an error
 * @throws DomainError already_exists where `path` holds something; whatever `write` throws, and then nothing is left behind
 */
export async function publishFolder<Result>(
  path: string,
  write: (folder: string) => Promise<Result>,
  { replace = false }: { replace?: boolean } = {},
): Promise<Result> {
  const target = resolve(path);
  const refuseExisting = async () => {
    if (!replace && existsSync(target) && (await readdir(target)).length > 0)
      throw new DomainError('already_exists', `${path} exists and is not empty: choose another folder or remove it`);
  };
  await refuseExisting().catch((error: unknown) => {
    throw fileError(error, 'write', path);
  });
  const beside = join(dirname(target), `.${basename(target)}.${randomUUID()}.part`);
  try {
    await makeFolder(dirname(target));
    await mkdir(beside);
    const result = await write(beside);
    await refuseExisting();
    await moveIntoPlace(beside, target, replace);
    return result;
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    throw fileError(error, 'write', path);
  }
}

async function moveIntoPlace(beside: string, target: string, replace: boolean): Promise<void> {
  // A rename takes the place of nothing or of an empty folder, never of one that another process has just published.
  if (!replace || !existsSync(target)) return rename(beside, target);
  const old = `${beside}.old`;
  await rename(target, old);
  await rename(beside, target);
  await rm(old, { recursive: true, force: true });
}
