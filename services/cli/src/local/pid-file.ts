import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { makeFolder, readJson, writeFileAtomically } from '@surefoot/files';
import { z } from 'zod';
import { endProcesses, isAlive, processIdentity, type ProcessIdentity } from './process-identity';

const identitySchema = z.object({ pid: z.int().positive(), identity: z.string().min(1) });
const schema = z.object({ owner: identitySchema, children: z.array(identitySchema.extend({ name: z.string() })) });
type Content = z.output<typeof schema>;

/** The claim of one command on an output folder, with the processes that it has started. */
export interface PidFile {
  add(name: string, pid: number): Promise<void>;
  /** Gives the folder up. */
  release(): Promise<void>;
}

/** Where the claim on a folder stands. */
export const pidFilePath = (out: string) => join(out, 'surefoot.pid');

/**
 * Claims an output folder for this process; a claim whose owner has died is taken over, and what it left running ended.
 *
 * @throws DomainError aborted where another process that lives is working there
 */
export async function claimFolder(out: string): Promise<PidFile> {
  const path = pidFilePath(out);
  await makeFolder(out);
  const other = await readPidFile(path);
  if (other && isAlive(other.owner))
    throw new DomainError(
      'aborted',
      `${out} is in use by process ${other.owner.pid}: wait for it, or end it with surefoot stop --out ${out}`,
    );
  if (other) await endProcesses(other.children, 0);
  const content: Content = { owner: self(), children: [] };
  let saved = Promise.resolve();
  // One after the other, so that the last one written is the last one asked for.
  const save = () => (saved = saved.then(() => writeFileAtomically(path, `${JSON.stringify(content)}\n`)));
  await save();
  return {
    async add(name, pid) {
      const identity = processIdentity(pid);
      if (identity) content.children.push({ name, ...identity });
      await save();
    },
    release: () => rm(path, { force: true }),
  };
}

/**
 * Ends the owner of a folder and everything it has started.
 *
 * @returns how many processes were running
 */
export async function stopFolder(out: string, graceMs: number): Promise<number> {
  const path = pidFilePath(out);
  const content = await readPidFile(path);
  if (!content) return 0;
  const processes = [content.owner, ...content.children].filter(isAlive);
  // The owner stops its children itself; they are ended here where it cannot.
  await endProcesses(processes.slice(0, 1), graceMs);
  await endProcesses(processes, graceMs);
  await rm(path, { force: true });
  return processes.length;
}

async function readPidFile(path: string): Promise<Content | undefined> {
  if (!existsSync(path)) return undefined;
  const { success, data } = schema.safeParse(await readJson(path));
  if (success) return data;
  throw new DomainError('invalid_argument', `${path} is no pid file of surefoot: remove it by hand`);
}

function self(): ProcessIdentity {
  return processIdentity(process.pid) ?? { pid: process.pid, identity: String(process.pid) };
}
