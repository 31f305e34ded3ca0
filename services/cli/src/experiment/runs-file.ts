import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { makeFolder, readJson, writeFileAtomically } from '@surefoot/files';
import { scoreSource } from '@surefoot/ppo';
import { parseRunRecord, type RunRecord } from '@surefoot/risk';
import { toJson } from '../terminal';
import type { PlannedRun } from './plan';

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

/** The lines of the runs that have ended, in index order: what the plan knows of each, and what its run.json says. */
export async function collectRuns(out: string, plan: PlannedRun[]): Promise<RunLine[]> {
  const lines = await Promise.all(plan.map((planned) => readRun(out, planned)));
  return lines.filter((line) => line !== undefined);
}

/**
 * Writes runs.jsonl; the same runs give the same bytes, but for the seconds. Other processes may end runs of the folder and write
 * meanwhile, so that it is written again until nothing has come since: whoever is the last to write has all.
 *
 * @returns the lines, as `collectRuns`
 */
export async function writeRunsFile(out: string, plan: PlannedRun[]): Promise<RunLine[]> {
  let lines = await collectRuns(out, plan);
  for (let written: string | undefined; written !== toText(lines); lines = await collectRuns(out, plan)) {
    written = toText(lines);
    await writeFileAtomically(join(out, 'runs.jsonl'), written);
  }
  return lines;
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
