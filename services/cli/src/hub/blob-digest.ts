import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { HubFile } from './repository';

/** True where a file holds exactly what the repository says. Reads it whole. */
export async function holds(path: string, { bytes, digest }: HubFile, signal: AbortSignal): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== bytes) return false;
  const hash = createHash(digest.algorithm === 'sha256' ? 'sha256' : 'sha1');
  // Git counts a blob's kind and length in.
  if (digest.algorithm === 'git-sha1') hash.update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash, { signal });
  return hash.digest('hex') === digest.hex;
}
