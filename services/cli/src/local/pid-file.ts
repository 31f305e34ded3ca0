import { existsSync, readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import { fileError, makeFolder, writeFileAtomically } from '@surefoot/files';
import { z } from 'zod';
import { endProcesses, isAlive, processIdentity, type ProcessIdentity } from './process-identity';

const identitySchema = z.object({ pid: z.int().positive(), identity: z.string().min(1) });
const schema = z.object({ owner: identitySchema, children: z.array(identitySchema.extend({ name: z.string() })) });
type Content = z.output<typeof schema>;

/** The claim of one command on an output folder, or on a part of it, with the processes that it has started. */
export interface Claim {
  add(name: string, pid: number): Promise<void>;
  /** Gives it up. */
  release(): Promise<void>;
}

const takeOverMs = 10_000;

/** Where a claim on a folder stands, or on a part of it. */
export const pidFilePath = (out: string, part?: string) =>
  join(out, part === undefined ? 'surefoot.pid' : `surefoot.${part}.pid`);

/**
 * Claims an output folder for this process; a claim whose owner has died is taken over, and what it left running ended.
 *
 * @param part claims this alone: others may claim other parts, nobody the whole. A process of another machine or container
 *   counts as dead, because nobody here can tell: parts are what such processes share a folder by
 * @throws DomainError aborted where another process that lives is working there
 */
export async function claimFolder(out: string, part?: string): Promise<Claim> {
  const path = pidFilePath(out, part);
  await makeFolder(out);
  const content: Content = { owner: self(), children: [] };
  await createPidFile(out, path, content);
  try {
    // After the own claim is there, so that of two at once at most one goes on.
    for (const other of part === undefined ? pidFiles(out) : [pidFilePath(out)])
      if (other !== path) refuseLiving(out, await readPidFile(other));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  let saved = Promise.resolve();
  // One after the other, so that the last one written is the last one asked for.
  const save = () => (saved = saved.then(() => writeFileAtomically(path, toText(content))));
  return {
    async add(name, pid) {
      const identity = processIdentity(pid);
      if (identity) content.children.push({ name, ...identity });
      await save();
    },
    release: () => rm(path, { force: true }),
  };
}

/** Claims a folder, or a part of it, while `body` works. @throws as `claimFolder`; whatever `body` throws */
export async function withClaim<Result>(
  out: string,
  body: (claim: Claim) => Promise<Result>,
  part?: string,
): Promise<Result> {
  const claim = await claimFolder(out, part);
  try {
    return await body(claim);
  } finally {
    await claim.release();
  }
}

/** The claims on a folder and its parts. */
export function pidFiles(out: string): string[] {
  if (!existsSync(out)) return [];
  return readdirSync(out)
    .filter((name) => /^surefoot(\..+)?\.pid$/.test(name))
    .map((name) => join(out, name));
}

/**
 * Ends those who work in a folder and everything they have started.
 *
 * @returns how many processes were running
 */
export async function stopFolder(out: string, graceMs: number): Promise<number> {
  const stopped = await Promise.all(pidFiles(out).map((path) => stopOwner(path, graceMs)));
  return stopped.reduce((sum, count) => sum + count, 0);
}

async function stopOwner(path: string, graceMs: number): Promise<number> {
  const content = await readPidFile(path);
  if (!content) return 0;
  const processes = [content.owner, ...content.children].filter(isAlive);
  // The owner stops its children itself; they are ended here where it cannot.
  await endProcesses(processes.slice(0, 1), graceMs);
  await endProcesses(processes, graceMs);
  await rm(path, { force: true });
  return processes.length;
}

/** Makes the file where there is none, or none of a living owner: of several who try at once, one succeeds. */
async function createPidFile(out: string, path: string, content: Content): Promise<void> {
  const deadline = Date.now() + takeOverMs;
  while (!(await createFile(path, toText(content)))) {
    const other = await readPidFile(path);
    refuseLiving(out, other);
    // Only who holds this second file may remove the first one, so that nobody removes a new claim for an old one.
    const taking = `${path}.taking`;
    if (other && (await createFile(taking, ''))) {
      try {
        const dead = await readPidFile(path);
        if (dead && !isAlive(dead.owner)) {
          await endProcesses(dead.children, 0);
          await rm(path, { force: true });
        }
      } finally {
        await rm(taking, { force: true });
      }
    } else {
      if (Date.now() > deadline)
        throw new DomainError(
          'aborted',
          `${out} cannot be claimed: remove ${path} and ${taking} where nobody works there`,
        );
      await sleep(20);
    }
  }
}

/** False where the file exists. */
async function createFile(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fileError(error, 'write', path);
  }
}

function refuseLiving(out: string, other: Content | undefined): void {
  if (other && isAlive(other.owner))
    throw new DomainError(
      'aborted',
      `${out} is in use by process ${other.owner.pid}: wait for it, or end it with surefoot stop --out ${out}`,
    );
}

const toText = (content: Content) => `${JSON.stringify(content)}\n`;

/** Nothing where there is no file, or one that is not written yet. */
async function readPidFile(path: string): Promise<Content | undefined> {
  const text = existsSync(path) ? await readFile(path, 'utf8').catch(() => '') : '';
  if (text === '') return undefined;
  const { success, data } = schema.safeParse(parse(text));
  if (success) return data;
  throw new DomainError('invalid_argument', `${path} is no pid file of surefoot: remove it by hand`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function self(): ProcessIdentity {
  return processIdentity(process.pid) ?? { pid: process.pid, identity: String(process.pid) };
}
