import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';

/** @throws DomainError resource_exhausted where a disk has less room than `bytes`; a disk that does not say is tried */
export async function assertRoom(folder: string, bytes: number): Promise<void> {
  let above = resolve(folder);
  while (!existsSync(above)) above = dirname(above);
  const disk = await statfs(above).catch(() => undefined);
  const free = disk && disk.bavail * disk.bsize;
  if (free === undefined || free >= bytes) return;
  throw new DomainError(
    'resource_exhausted',
    `${folder} needs ${megabytes(bytes)} more, the disk has ${megabytes(free)}: make room, or set HF_HUB_CACHE to another disk`,
  );
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
