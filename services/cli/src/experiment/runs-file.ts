import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { listFolder, makeFolder, readJson, readJsonLines, writeFileAtomically } from '@surefoot/files';
import { scoreSource } from '@surefoot/ppo';
import { parseRunRecord, type RunRecord } from '@surefoot/risk';
import { toJson } from '../terminal';
import { runId, type PlannedRun } from './plan';

/** A line of runs.jsonl, and why the run failed where it did. */
export type RunLine = RunRecord & { error?: unknown };

/** Why a run has failed, as its trainer says. */
export function failureReason(line: RunLine | undefined): string {
  return (line?.error as { message?: string } | undefined)?.message ?? 'no reason given';
}

/** The folder that holds the runs. */
export const runsFolder = (out: string) => join(out, 'runs');

/** The file that a run's trainer writes when the run has ended. */
export const runJsonPath = (out: string, id: string) => join(runsFolder(out), id, 'run.json');

/** True where a trainer has come so far with this run that it can go on; a start that failed is no beginning. */
export async function hasBegun(out: string, { id }: { id: string }): Promise<boolean> {
  const checkpoints = await readdir(join(runsFolder(out), id, 'checkpoints')).catch(() => []);
  if (checkpoints.some((name) => name.endsWith('.safetensors'))) return true;
  // A trainer elsewhere keeps its checkpoints there.
  const record = await readRecord(runJsonPath(out, id));
  return record !== undefined && (record['status'] === 'completed' || Number(record['iterations']) > 0);
}

/** Lines by the id of their run. */
export type KnownLines = Map<string, RunLine>;

/** How many run.json are open at once: an experiment may have more runs than a process may open files. */
const openAtOnce = 16;

/**
 * The lines of the runs that have ended, in index order: what the plan knows of each, and what its run.json says.
 *
 * @param known not read again; runs that have completed, which do not change any more, are added
 */
export async function collectRuns(out: string, plan: PlannedRun[], known: KnownLines = new Map()): Promise<RunLine[]> {
  const folders = new Set(await listFolder(runsFolder(out)));
  const unread = plan.filter(({ id }) => folders.has(id) && !known.has(id));
  const others: KnownLines = new Map();
  for (let start = 0; start < unread.length; start += openAtOnce)
    await Promise.all(
      unread.slice(start, start + openAtOnce).map(async (planned) => {
        const line = await readRun(out, planned);
        if (line) (line.status === 'completed' ? known : others).set(planned.id, line);
      }),
    );
  return plan.map(({ id }) => known.get(id) ?? others.get(id)).filter((line) => line !== undefined);
}

const runsFile = (out: string) => join(out, 'runs.jsonl');

/**
 * The lines in runs.jsonl of planned runs whose folder is gone: nothing else knows of these runs any more.
 *
 * @throws DomainError invalid_argument where a line is malformed
 */
export async function readKeptLines(out: string, plan: PlannedRun[]): Promise<KnownLines> {
  const path = runsFile(out);
  const kept: KnownLines = new Map();
  const folders = new Set(await listFolder(runsFolder(out)));
  const gone = new Map(plan.filter(({ id }) => !folders.has(id)).map((planned) => [planned.id, planned]));
  if (gone.size === 0 || !existsSync(path)) return kept;
  for await (const { line, value, problem } of readJsonLines(path)) {
    const where = `${path} line ${line}`;
    if (problem) throw new DomainError('invalid_argument', `${where}: ${problem}`);
    const { method, block, run, index, seed } = parseRunRecord(value, where);
    const id = runId(method, block, run);
    const planned = gone.get(id);
    if (planned?.index === index && planned.seed === seed) kept.set(id, value as RunLine);
  }
  return kept;
}

/**
 * Writes runs.jsonl; the same runs give the same bytes, but for the seconds. Other processes may end runs of the folder and write
 * meanwhile, so that it is written again until nothing has come since: whoever is the last to write has all.
 *
 * @param known as of `collectRuns`, default those of `readKeptLines`
 * @returns the lines, as `collectRuns`
 */
export async function writeRunsFile(out: string, plan: PlannedRun[], known?: KnownLines): Promise<RunLine[]> {
  known ??= await readKeptLines(out, plan);
  let lines = await collectRuns(out, plan, known);
  for (let written: string | undefined; written !== toText(lines); lines = await collectRuns(out, plan, known)) {
    written = toText(lines);
    await writeFileAtomically(runsFile(out), written);
  }
  return lines;
}

/** Writes runs.jsonl again and again. */
export interface RunsSaver {
  /** Writes it with all that has ended by now. @returns as `writeRunsFile` */
  save(): Promise<RunLine[]>;
  /** Resolves when what was asked for is written, or has failed. */
  saved(): Promise<void>;
}

/** @param todo the runs of `plan` that are done anew: what was known of them counts no more */
export async function createRunsSaver(out: string, plan: PlannedRun[], todo: PlannedRun[]): Promise<RunsSaver> {
  const known = await readKeptLines(out, plan);
  for (const { id } of todo) known.delete(id);
  // One at a time, or an earlier write might overtake a later one; whoever asks while one waits shares it.
  let saving = Promise.resolve<RunLine[]>([]);
  let waiting: Promise<RunLine[]> | undefined;
  const write = () => {
    waiting = undefined;
    return writeRunsFile(out, plan, known);
  };
  return {
    save: () => (waiting ??= saving = saving.then(write)),
    saved: async () => void (await saving.catch(() => undefined)),
  };
}

const toText = (lines: RunLine[]) => lines.map((line) => `${toJson(line)}\n`).join('');

/** Notes a run that its trainer could not finish, so that it is counted. */
export async function writeFailedRun(out: string, planned: PlannedRun, reason: string): Promise<void> {
  await writeRunJson(out, planned.id, {
    id: planned.id,
    status: 'failed',
    iterations: 0,
    trajectory: {},
    seconds: 0,
    error: { code: 'UNAVAILABLE', message: reason },
  });
}

/** Writes run.json for a run whose trainer has its runs directory elsewhere, or none any more. */
export async function writeRunJson(out: string, id: string, content: object): Promise<void> {
  const path = runJsonPath(out, id);
  await makeFolder(join(path, '..'));
  await writeFileAtomically(path, `${toJson(content, 2)}\n`);
}

async function readRun(out: string, planned: PlannedRun): Promise<RunLine | undefined> {
  const path = runJsonPath(out, planned.id);
  const content = await readRecord(path);
  return content && runLine(planned, content, path);
}

/** The content of a run.json; undefined where there is none. */
async function readRecord(path: string): Promise<Record<string, unknown> | undefined> {
  return (await readJson(path).catch((error: unknown) => {
    if (error instanceof DomainError && error.kind === 'not_found') return undefined;
    throw error;
  })) as Record<string, unknown> | undefined;
}

/** The line of one run; the order of its fields is that of the documentation. */
function runLine(planned: PlannedRun, content: Record<string, unknown>, path: string): RunLine {
  const { method, block, run, index, member, seed } = planned;
  const { status, iterations, initial, final, peak, dropFromPeak, trajectory, seconds, error, warnings } = content;
  const source = scoreSource(method.ppo);
  const line = {
    method: method.name,
    block: block.name,
    run,
    index,
    ...(method.ppo.reward === 'member' && { member }),
    ...(source !== 'member' && { reward: source }),
    seed,
    status,
    iterations,
    initial,
    final,
    peak,
    dropFromPeak,
    trajectory,
    seconds,
    error,
    warnings,
  };
  parseRunRecord(line, path);
  return line as RunLine;
}
