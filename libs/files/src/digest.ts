import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileError } from './file-error';
import { makeFolder, writeFileAtomically } from './publish';

/** sha256 of a file's bytes, lower-case hexadecimal. @throws DomainError not_found, failed_precondition */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  return hash.digest('hex');
}

/** sha256 of a string's UTF-8 bytes, lower-case hexadecimal. */
export function digestText(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** From this size on a digest is remembered: below, reading the file takes a moment. */
const worthRemembering = 2 ** 28;

/**
 * The same as `digestFile`; of a large file it is remembered, and read again only where device, inode, size, or the time of the
 * last change of content or of anything else are others: the second cannot be set back as the first can, and is that of a new
 * name too. What cannot be remembered, as in a folder that is read-only, is computed every time.
 *
 * @param memory    folder that remembers, made where it is missing
 * @param leastBytes of a file whose digest is remembered
 */
export async function rememberedDigest(path: string, memory: string, leastBytes = worthRemembering): Promise<string> {
  const identity = await identityOf(path);
  if (identity.size < leastBytes) return digestFile(path);
  const place = join(memory, `${identity.device}-${identity.inode}.json`);
  const known = await readFile(place, 'utf8')
    .then((text) => JSON.parse(text) as Record<string, unknown>)
    .catch(() => undefined);
  const isSame = known && Object.entries(identity).every(([field, value]) => known[field] === value);
  if (isSame && /^[0-9a-f]{64}$/.test(String(known['sha256']))) return String(known['sha256']);
  const sha256 = await digestFile(path);
  if (JSON.stringify(await identityOf(path)) === JSON.stringify(identity))
    await makeFolder(memory)
      .then(() => writeFileAtomically(place, `${JSON.stringify({ ...identity, sha256 })}\n`))
      .catch(() => undefined);
  return sha256;
}

async function identityOf(path: string) {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    const times = { modifiedNs: String(mtimeNs), changedNs: String(ctimeNs) };
    return { device: String(dev), inode: String(ino), size: Number(size), ...times };
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}
