import { existsSync } from 'node:fs';
import { copyFile, link, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { fileError, makeFolder, publishFolder } from '@surefoot/files';
import type { Terminal } from '../terminal';
import { holds } from './blob-digest';
import { lockBlob } from './blob-lock';
import { pointTo, repositoryCache, writeRef, type RepositoryCache } from './cache';
import { assertRoom } from './disk-room';
import { arrivedBytes, download } from './download';
import type { HubSettings } from './environment';
import { modelFiles, shards, some } from './model-files';
import { interrupted } from './patience';
import { listRepository, type HubFile, type Listing } from './repository';

/** What was pulled. */
export interface PulledModel {
  repository: string;
  revision: string;
  commit: string;
  folder: string;
  files: { path: string; bytes: number; digest: string }[];
  /** Of all files. */
  bytes: number;
  /** Of those that came over the network in this call. */
  downloadedBytes: number;
  /** Pickled weights, which are never pulled. */
  leftOut: string[];
}

interface Pull {
  settings: HubSettings;
  listing: Listing;
  cache: RepositoryCache;
  terminal: Terminal;
  signal: AbortSignal;
}

/**
 * Brings a repository's model files into the cache, as far as they are not there, and from there into a folder of their own.
 *
 * @param source.out is absent or empty before; it is complete or absent afterwards
 * @throws DomainError already_exists, and as `listRepository`, `modelFiles` and `download`; unavailable where a file has another
 *   digest than the repository lists, twice. What has arrived is kept in the cache
 */
export async function pullModel(
  settings: HubSettings,
  { name, revision, out }: { name: string; revision: string; out: string },
  { terminal, signal }: { terminal: Terminal; signal: AbortSignal },
): Promise<PulledModel> {
  await refuseFilled(out);
  const listing = await listRepository(settings, { name, revision }, signal);
  const cache = repositoryCache(settings.cache, name);
  const pull: Pull = { settings, listing, cache, terminal, signal };
  const { files, index, pickled } = modelFiles(listing);
  if (pickled.length > 0)
    terminal.note(`${name}: not pulled: ${some(pickled)}; loading a pickled file can run any code that is in it`);
  let downloadedBytes = index ? await bring(pull, [index]) : 0;
  const parts = index ? shards(await readFile(cache.blob(index), 'utf8'), listing) : [];
  const wanted = [...files, ...parts].sort((a, b) => (a.path < b.path ? -1 : 1));
  downloadedBytes += await bring(
    pull,
    wanted.filter((file) => file !== index),
  );
  for (const file of wanted) await pointTo(cache.blob(file), cache.pointer(listing.commit, file));
  if (revision !== listing.commit) await writeRef(cache.ref(revision), listing.commit);
  await publishFolder(out, async (folder) => {
    for (const file of wanted) await place(cache.blob(file), join(folder, ...file.path.split('/')));
  });
  return {
    ...{ repository: name, revision, commit: listing.commit, folder: out },
    files: wanted.map(({ path, bytes, digest }) => ({ path, bytes, digest: `${digest.algorithm}:${digest.hex}` })),
    bytes: wanted.reduce((sum, { bytes }) => sum + bytes, 0),
    ...{ downloadedBytes, leftOut: pickled },
  };
}

/** Before anything is fetched; `publishFolder` looks once more. */
async function refuseFilled(out: string): Promise<void> {
  try {
    if (existsSync(out) && (await readdir(out)).length > 0)
      throw new DomainError('already_exists', `${out} exists and is not empty: choose another folder or remove it`);
  } catch (error) {
    throw fileError(error, 'write', out);
  }
}

/** Brings files into the cache. @returns bytes that came over the network */
async function bring(pull: Pull, files: HubFile[]): Promise<number> {
  const { cache, settings, signal } = pull;
  const missing: HubFile[] = [];
  let missingBytes = 0;
  for (const file of files) {
    if (await isCached(pull, file)) continue;
    missing.push(file);
    missingBytes += Math.max(0, file.bytes - (await arrivedBytes(cache.partial(file))));
  }
  await assertRoom(settings.cache, missingBytes);
  const progress = pull.terminal.progress(pull.listing.name, Math.ceil(missingBytes / megabyte), 'MB');
  let arrived = 0;
  try {
    for (const file of missing) {
      if (signal.aborted) throw interrupted();
      await bringOne(pull, file, (bytes, detail) => {
        const before = Math.floor(arrived / megabyte);
        arrived += bytes;
        progress.advance(Math.floor(arrived / megabyte) - before, detail);
      });
    }
  } finally {
    progress.finish();
  }
  return arrived;
}

const megabyte = 1e6;

async function isCached({ cache, signal, terminal }: Pull, file: HubFile): Promise<boolean> {
  const blob = cache.blob(file);
  if (!existsSync(blob)) return false;
  if (await holds(blob, file, signal)) return true;
  terminal.note(`${blob} does not hold what its name says: ${file.path} is pulled again`);
  return false;
}

async function bringOne(pull: Pull, file: HubFile, advance: (bytes: number, detail: string) => void): Promise<void> {
  const { settings, listing, cache, terminal, signal } = pull;
  const blob = cache.blob(file);
  const isDone = () => holds(blob, file, signal);
  await makeFolder(dirname(blob));
  const unlock = await lockBlob(cache.lock(file), {
    ...{ isDone, signal },
    onWait: (pid) => terminal.note(`${file.path}: process ${pid} is pulling it too; waiting for it`),
  });
  if (!unlock) return;
  try {
    if (await isDone()) return;
    const partial = cache.partial(file);
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    for (const isLast of [false, true]) {
      await download(settings, {
        ...{ file, partial, signal, subject: `${listing.name} ${file.path}` },
        url: `${settings.endpoint}/${listing.name}/resolve/${listing.commit}/${path}`,
        onBytes: (bytes) => advance(bytes, file.path),
        onRetry: (reason) => advance(0, `${reason}; trying again`),
      });
      if (await holds(partial, file, signal)) break;
      // Another process that fetched it at the same time may have taken the file that both wrote.
      if (await isDone()) return;
      await rm(partial, { force: true });
      if (isLast) throw wrongDigest(settings, listing, file);
      terminal.note(`${file.path} has arrived with another digest than ${listing.name} lists; once more`);
    }
    await rename(partial, blob);
  } catch (error) {
    throw fileError(error, 'write', blob);
  } finally {
    await unlock();
  }
}

function wrongDigest({ endpoint }: HubSettings, { name }: Listing, { path, digest }: HubFile): DomainError {
  return new DomainError(
    'unavailable',
    `${path} of ${name} has twice arrived from ${new URL(endpoint).host} with another digest than the ` +
      `${digest.algorithm} ${digest.hex} that is listed: it was removed; try later, or another HF_ENDPOINT`,
  );
}

/** Weights as a link, for they are large and nobody edits them; the rest as files of their own. */
async function place(blob: string, path: string): Promise<void> {
  await makeFolder(dirname(path));
  // Python may keep a blob as a link into a store of its own.
  const source = await realpath(blob);
  const isWeights = path.endsWith('.safetensors');
  await (isWeights ? link(source, path).catch(() => copyFile(source, path)) : copyFile(source, path));
}
