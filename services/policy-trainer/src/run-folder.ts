import { access, constants, lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { fileError, makeFolder, publishFolder, readJson, writeFileAtomically } from '@surefoot/files';
import { ppoDefaults } from '@surefoot/ppo';
import { readMetrics } from './metrics-file';
import { isOwnedElsewhere } from './ownership';
import type { Run } from './run';
import { parseRunRecord, runRecord } from './run-record';
import type { RunSettings } from './run-settings';

/** Names inside a run's folder; README.md says what each holds. */
export const runFiles = {
  config: 'config.json',
  metrics: 'metrics.jsonl',
  checkpoints: 'checkpoints',
  evaluation: 'evaluation.jsonl.gz',
  rollouts: 'rollouts.jsonl.gz',
  model: 'model',
  bestModel: 'model-best',
  record: 'run.json',
} as const;

const runIdPattern = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const checkpointName = /^(\d{7})\.safetensors$/;

/** The folder of a run. @throws DomainError invalid_argument where the id is no name */
export function runFolder(runsDirectory: string, id: string): string {
  if (!runIdPattern.test(id))
    throw new DomainError(
      'invalid_argument',
      `run_id must match ${runIdPattern.source}, not ${JSON.stringify(id.slice(0, 80))}`,
    );
  return join(runsDirectory, id);
}

/**
 * Makes the folder of a new run, whole or not at all.
 *
 * @param options.replace true to put it in the place of one that is there
 * @throws DomainError already_exists without `replace`, and those of a full or closed disk
 */
export async function createRunFolder(
  runsDirectory: string,
  id: string,
  settings: RunSettings,
  { replace = false } = {},
): Promise<string> {
  const folder = runFolder(runsDirectory, id);
  await publishFolder(folder, (beside) => writeSettings(beside, settings), { replace }).catch((error: unknown) => {
    if (error instanceof DomainError && error.kind === 'already_exists')
      throw new DomainError('already_exists', `run ${id} exists: choose another id, or set resume`, { cause: error });
    throw error;
  });
  return folder;
}

/** Notes a run's settings. JSON knows no infinity: a weight without an upper bound has null there. */
export async function writeSettings(folder: string, settings: RunSettings): Promise<void> {
  await writeFileAtomically(join(folder, runFiles.config), `${JSON.stringify(settings, null, 2)}\n`);
}

/** The settings of the run in `folder`; undefined where there is no such run. */
export async function readSettings(folder: string): Promise<RunSettings | undefined> {
  const found = await lstat(folder).catch(() => undefined);
  if (!found?.isDirectory()) return undefined;
  const settings = await readJson(join(folder, runFiles.config)).catch((error: unknown) => {
    if (error instanceof DomainError && error.kind === 'not_found') return undefined;
    throw error;
  });
  if (settings === undefined) return undefined;
  const { ppo, ...rest } = settings as RunSettings;
  if (!ppo)
    throw new DomainError('failed_precondition', `${join(folder, runFiles.config)} does not hold a run's settings`);
  // What a run of before there was a choice does not name is as it was then: a setting that comes later has that as its default.
  const since = { lora: null, weights: 'auto' as const };
  return { ...since, ...rest, ppo: { ...ppoDefaults, ...ppo, weightClampMax: ppo.weightClampMax ?? Infinity } };
}

/** A run as its folder tells, of whichever process; undefined where there is no such run. */
export async function readRun(runsDirectory: string, id: string): Promise<Run | undefined> {
  const folder = runFolder(runsDirectory, id);
  const settings = await readSettings(folder);
  if (!settings) return undefined;
  const record = await readJson(join(folder, runFiles.record)).catch(() => undefined);
  if (record !== undefined) return parseRunRecord(record, settings);
  const last = (await readMetrics(join(folder, runFiles.metrics))).at(-1);
  return {
    id,
    state: (await isOwnedElsewhere(folder)) ? 'running' : 'interrupted',
    settings,
    iteration: last?.iteration ?? 0,
    seconds: last?.metrics['time/seconds'] ?? 0,
  };
}

/** The ids of the runs that a directory holds, newest first, at most `limit`. */
export async function listRunIds(runsDirectory: string, limit: number): Promise<string[]> {
  const entries = await readdir(runsDirectory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory() && runIdPattern.test(entry.name)).map(({ name }) => name);
  const born = new Map<string, number>();
  for (const name of names) {
    const config = await stat(join(runsDirectory, name, runFiles.config)).catch(() => undefined);
    if (config) born.set(name, config.mtimeMs);
  }
  return [...born]
    .sort(([a, bornA], [b, bornB]) => bornB - bornA || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([name]) => name);
}

/** Writes run.json, the last file of a run: where it stands, the run has ended. */
export async function writeRecord(folder: string, run: Run): Promise<void> {
  await writeFileAtomically(join(folder, runFiles.record), `${JSON.stringify(runRecord(run), null, 2)}\n`);
}

/** Takes run.json away, because the run goes on. */
export async function removeRecord(folder: string): Promise<void> {
  await rm(join(folder, runFiles.record), { force: true });
}

/** Removes what a killed process was writing beside files that it meant to replace; nothing reads it. */
export async function removeParts(folder: string): Promise<void> {
  for (const place of [folder, join(folder, runFiles.checkpoints)])
    for (const name of await readdir(place).catch(() => []))
      if (/^\..*\.part(\.old)?$/.test(name)) await rm(join(place, name), { recursive: true, force: true });
}

/** Where the checkpoint after iteration `iteration` stands. */
export function checkpointPath(folder: string, iteration: number): string {
  return join(folder, runFiles.checkpoints, `${String(iteration).padStart(7, '0')}.safetensors`);
}

/** The iterations that have a checkpoint, newest first. */
export async function listCheckpoints(folder: string): Promise<number[]> {
  const names = await readdir(join(folder, runFiles.checkpoints)).catch(() => []);
  return names
    .flatMap((name) => checkpointName.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

/** Makes a folder where there is none, and checks that it can be written. @throws DomainError as `makeFolder` */
export async function prepareFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found && !found.isDirectory())
    throw new DomainError('failed_precondition', `${path} is a file where a folder is needed`);
  await makeFolder(path);
  await access(path, constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw fileError(error, 'write', path);
  });
}
