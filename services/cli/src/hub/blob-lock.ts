import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError, makeFolder } from '@surefoot/files';
import { z } from 'zod';
import { isAlive, processIdentity, type ProcessIdentity } from '../local/process-identity';
import { pause } from './patience';

const schema = z.object({ pid: z.int().positive(), identity: z.string().min(1) });

/**
 * Lets one process of this machine at a time fetch a blob, so that none is fetched twice. No file depends on it: all who
 * write a partial file write the same bytes to the same places, and what becomes a blob is read again before.
 *
 * @param options.isDone asked while another process holds the lock; true ends the wait
 * @returns gives the lock up; undefined where `isDone` ended the wait
 * @throws DomainError as the disk says; Interrupted
 */
export async function lockBlob(
  path: string,
  { isDone, onWait, signal }: { isDone: () => Promise<boolean>; onWait: (pid: number) => void; signal: AbortSignal },
): Promise<(() => Promise<void>) | undefined> {
  const beside = `${path}.${randomUUID()}.part`;
  try {
    await makeFolder(dirname(path));
    await writeFile(beside, JSON.stringify(processIdentity(process.pid)));
    let told = false;
    for (;;) {
      const isMine = await link(beside, path).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== 'EEXIST', // without links there are no locks
      );
      if (isMine) return () => rm(path, { force: true });
      const owner = await ownerOf(path);
      if (!owner || !isAlive(owner)) {
        // Renamed first: of two that find a dead owner only one takes its lock away.
        await rename(path, `${beside}.dead`).catch(() => undefined);
        await rm(`${beside}.dead`, { force: true });
        continue;
      }
      if (!told) onWait(owner.pid);
      told = true;
      await pause(200, signal);
      if (await isDone()) return undefined;
    }
  } catch (error) {
    throw fileError(error, 'write', path);
  } finally {
    await rm(beside, { force: true });
  }
}

async function ownerOf(path: string): Promise<ProcessIdentity | undefined> {
  const content = await readFile(path, 'utf8').catch(() => '');
  try {
    return schema.parse(JSON.parse(content));
  } catch {
    return undefined;
  }
}
