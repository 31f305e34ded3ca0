import { randomUUID } from 'node:crypto';
import { constants, existsSync, realpathSync } from 'node:fs';
import { copyFile, link, readdir, rm } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '@surefoot/errors';
import { digestFile, digestText, fileError, writeFileAtomically } from '@surefoot/files';
import { ppoDefaults } from '@surefoot/ppo';
import { stringify } from 'yaml';
import { readYaml } from '../options-file';
import { version } from '../version';
import type { ExperimentConfig, ScorerLocation } from './config';
import { ppoKeys } from './ppo-keys';
import { hasBegun, runsFolder } from './runs-file';
import type { ScorerDescription } from './scorer-description';

/** What decides the results of an experiment besides its configuration. */
export interface Surroundings {
  /** In the order of the blocks. */
  ensembles: ScorerDescription[];
  judge?: ScorerDescription;
  /** Name, and what else decides the bits, or `remote` where trainer services compute. */
  backend: string;
  /** Processor threads of each process. */
  threads: number;
}

/** Where the resolved experiment stands in its folder. */
export const experimentPath = (out: string) => join(out, 'experiment.yaml');

/**
 * Writes `experiment.yaml`: the configuration with every default, versions, seeds, backend and digests. It can be used as
 * a configuration again. What was written before a start that failed binds nobody who has the folder to himself; of several who
 * share it the first one's file binds all, for they cannot tell a start that failed from one that is under way.
 *
 * @param options.resume true to go on with an experiment that the folder holds already, with at least one run begun
 * @param options.shared true where others may begin in the folder at the same time
 * @throws DomainError already_exists without `resume`; failed_precondition naming what differs from the experiment there
 */
export async function writeExperimentFile(
  out: string,
  config: ExperimentConfig,
  surroundings: Surroundings,
  { resume, shared = false }: { resume: boolean; shared?: boolean },
): Promise<void> {
  const path = experimentPath(out);
  const content = await resolvedExperiment(out, config, surroundings);
  if (shared && (await createFile(path, stringify(content)))) return;
  const begun = existsSync(path) && (await holdsRuns(out));
  if (!shared && !begun) return writeFileAtomically(path, stringify(content));
  if (!resume)
    throw new DomainError('already_exists', `${out} holds an experiment already: add --resume or choose another --out`);
  const before = withDefaults(((await readYaml(path)) ?? {}) as Record<string, unknown>);
  const differing = differences(content, before);
  if (differing.length > 0)
    throw new DomainError(
      'failed_precondition',
      `${path} was made with other values of ${differing.join(', ')}: choose another --out, or the same configuration${begun ? '' : '; where that start failed and nothing is at work there, remove the file'}`,
    );
}

/** Writes a file that appears whole. @returns false where there is one already, which stays */
async function createFile(path: string, text: string): Promise<boolean> {
  const beside = `${path}.${randomUUID()}.part`;
  try {
    await writeFileAtomically(beside, text);
    // Of several at once one succeeds; where the file system knows no links, a reader may see a part.
    await link(beside, path).catch(() => copyFile(beside, path, constants.COPYFILE_EXCL));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fileError(error, 'write', path);
  } finally {
    await rm(beside, { force: true });
  }
}

/** Processor threads of each process of the experiment that the folder holds; undefined where it holds none that says. */
export async function recordedThreads(out: string): Promise<number | undefined> {
  if (!existsSync(experimentPath(out))) return undefined;
  const { resolved } = ((await readYaml(experimentPath(out))) ?? {}) as { resolved?: { threads?: unknown } };
  const threads = resolved?.threads;
  return Number.isSafeInteger(threads) && Number(threads) > 0 ? Number(threads) : undefined;
}

/** An experiment's file names every setting of its time; those that came later have the default, which is what was done then. */
function withDefaults({ methods, ...rest }: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(methods)) return { ...rest, methods };
  return { ...rest, methods: methods.map((method: object) => ({ ...ppoKeys(ppoDefaults), ...method })) };
}

/** Names of the values that differ, with both where they are texts. */
function differences(now: Record<string, unknown>, before: Record<string, unknown>): string[] {
  return [...new Set([...Object.keys(now), ...Object.keys(before)])].flatMap((key) => {
    const [value, old] = [comparable(now[key]), comparable(before[key])];
    if (isDeepStrictEqual(value, old)) return [];
    if (key === 'resolved')
      return differences(value as Record<string, unknown>, (old ?? {}) as Record<string, unknown>);
    if (typeof value === 'string' && typeof old === 'string') return [`${key} (${old}, now ${value})`];
    const within = key === 'methods' ? differencesOfMethods(value, old) : [];
    return within.length > 0 ? within.map((name) => `${key}.${name}`) : [key];
  });
}

/** Names of the methods that only one has, and of what differs in those that both have; none where it is their order. */
function differencesOfMethods(now: unknown, before: unknown): string[] {
  const byName = (methods: unknown) =>
    new Map((Array.isArray(methods) ? methods : []).map((method: Record<string, unknown>) => [method['name'], method]));
  const [ours, theirs] = [byName(now), byName(before)];
  const found = [...new Map([...ours, ...theirs]).keys()].flatMap((name) => {
    const [one, other] = [ours.get(name), theirs.get(name)];
    return one && other ? differences(one, other) : [String(name)];
  });
  return [...new Set(found)];
}

async function holdsRuns(out: string): Promise<boolean> {
  for (const id of await readdir(runsFolder(out)).catch(() => [])) if (await hasBegun(out, { id })) return true;
  return false;
}

async function resolvedExperiment(out: string, config: ExperimentConfig, surroundings: Surroundings) {
  const { name, policy, blocks, judge, gold, prompts, evalPrompts, methods, runs, seed, keepRollouts } = config;
  const { lora, weights } = config;
  const from = (path: string) => (isAbsolute(path) ? relative(realpathSync(out), path) || '.' : path);
  const place = (location: ScorerLocation) => ('address' in location ? location.address : from(location.folder));
  const content: Record<string, unknown> = {
    name,
    policy: from(policy),
    blocks: blocks.map((block) => ({ name: block.name, ...(block.ensemble && { ensemble: place(block.ensemble) }) })),
    ...(judge && { judge: place(judge) }),
    ...(gold && { gold: from(gold) }),
    prompts: from(prompts),
    evalPrompts: from(evalPrompts),
    methods: methods.map((method) => ({ name: method.name, ...ppoKeys(method.ppo) })),
    runs,
    seed,
    keepRollouts,
    ...(lora && { lora }),
    ...(weights && { weights }),
    resolved: {
      surefoot: version,
      node: process.versions.node,
      backend: surroundings.backend,
      threads: surroundings.threads,
      members: Object.fromEntries(blocks.map((block, i) => [block.name, surroundings.ensembles[i]?.members ?? null])),
      digests: {
        policy: await digestOf(policy),
        ensembles: Object.fromEntries(
          blocks.map((block, i) => [block.name, surroundings.ensembles[i]?.digest ?? null]),
        ),
        ...(surroundings.judge && { judge: surroundings.judge.digest }),
        prompts: await digestOf(prompts),
        evalPrompts: await digestOf(evalPrompts),
        ...(gold && { gold: await digestOf(gold) }),
      },
    },
  };
  return content;
}

/** sha256 over the names and contents of a folder's files, or of one file; null where a service holds it. */
export async function digestOf(path: string): Promise<string | null> {
  if (!existsSync(path)) return null;
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (!entries) return digestFile(path);
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const digests: string[] = [];
  for (const file of files) digests.push(`${relative(path, file).split(sep).join('/')} ${await digestFile(file)}`);
  return digestText(digests.join('\n'));
}

// Another release or Node may continue an experiment, and other threads where they are no part of what the backend is;
// results are still those of the backend and files noted.
function comparable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('digests' in value)) return value;
  return { ...value, surefoot: undefined, node: undefined, threads: undefined };
}
