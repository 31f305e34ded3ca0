import { randomUUID } from 'node:crypto';
import { readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { writeFileAtomically } from '@surefoot/files';

/** Who works on a run: several trainers may share one runs directory, and a killed one leaves its mark behind. */
interface Owner {
  host: string;
  pid: number;
  /** Differs between two processes of one host and pid, as the first process of a restarted container has. */
  instance: string;
}

const self: Owner = { host: hostname(), pid: process.pid, instance: randomUUID() };
const heartbeatMs = 5_000;
const staleMs = 4 * heartbeatMs;
const ownerFile = (folder: string) => join(folder, 'owner.json');

/**
 * True where another live process works on the run in `folder`. A process of this host is alive while its pid exists; one of
 * another host while its mark is less than 20 seconds old. An old mark counts for nothing: its pid may have been given away.
 */
export async function isOwnedElsewhere(folder: string): Promise<boolean> {
  const owner = await readOwner(folder);
  if (!owner || owner.instance === self.instance) return false;
  const age = Date.now() - (await stat(ownerFile(folder)).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
  if (age > staleMs) return false;
  return owner.host !== self.host || (owner.pid !== self.pid && isAlive(owner.pid));
}

/**
 * Marks the run in `folder` as this process's, and keeps the mark fresh.
 *
 * @param onLost called once if another process takes the run over, which it does only where this one seemed dead
 * @returns removes the mark
 * @throws DomainError failed_precondition where another live process has the run
 */
export async function claimRun(folder: string, onLost: () => void): Promise<() => Promise<void>> {
  if (await isOwnedElsewhere(folder))
    throw new DomainError(
      'failed_precondition',
      `another process works on ${folder}, or was killed less than ${staleMs / 1000} s ago on another host`,
    );
  await writeFileAtomically(ownerFile(folder), JSON.stringify(self));
  const timer = setInterval(async () => {
    if ((await readOwner(folder))?.instance === self.instance)
      return utimes(ownerFile(folder), new Date(), new Date()).catch(() => undefined);
    clearInterval(timer);
    onLost();
  }, heartbeatMs).unref();
  return async () => {
    clearInterval(timer);
    if ((await readOwner(folder))?.instance === self.instance) await rm(ownerFile(folder), { force: true });
  };
}

async function readOwner(folder: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(ownerFile(folder), 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
