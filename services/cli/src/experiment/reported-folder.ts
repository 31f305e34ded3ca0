import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readRuns } from '@surefoot/report';
import type { RunRecord } from '@surefoot/risk';
import { readResolvedExperiment, type Digests, type ExperimentConfig } from './config';
import { experimentPath } from './experiment-file';
import { planRuns } from './plan';
import { collectRuns, readKeptLines, writeRunsFile } from './runs-file';

/** An experiment folder as a report finds it. */
export interface ReportedFolder {
  folder: string;
  /** Its last part, or as it was given where two folders of a report end alike. */
  name: string;
  runs: RunRecord[];
  /** Absent where the folder holds runs.jsonl alone. */
  experiment?: ReportedExperiment;
}

/** What experiment.yaml says. */
export interface ReportedExperiment {
  config: ExperimentConfig;
  /** How many runs the whole experiment has. */
  planned: number;
  digests: Digests;
}

/**
 * What the folders of a report hold, in their order.
 *
 * @throws DomainError not_found where a folder holds no runs; invalid_argument where a file is malformed
 */
export async function readReportedFolders(folders: string[]): Promise<ReportedFolder[]> {
  const lastParts = folders.map((folder) => basename(resolve(folder)));
  const names = new Set(lastParts).size === folders.length ? lastParts : folders;
  const found: ReportedFolder[] = [];
  for (const [i, folder] of folders.entries()) found.push({ folder, name: names[i]!, ...(await readFolder(folder)) });
  return found;
}

async function readFolder(folder: string): Promise<Pick<ReportedFolder, 'runs' | 'experiment'>> {
  const path = experimentPath(folder);
  if (!existsSync(path)) return { runs: await readRunsFile(folder) };
  const { config, members, digests } = await readResolvedExperiment(path);
  const plan = planRuns(config, members);
  const experiment = { config, planned: plan.length, digests };
  if (!existsSync(join(folder, 'runs'))) return { runs: await readRunsFile(folder), experiment };
  // The folders of the runs are what runs.jsonl is made of; a run whose folder was deleted keeps its line.
  const known = await readKeptLines(folder, plan);
  const lines = await collectRuns(folder, plan, known);
  return { runs: lines.length > 0 ? await writeRunsFile(folder, plan, known) : lines, experiment };
}

function readRunsFile(folder: string): Promise<RunRecord[]> {
  const path = join(folder, 'runs.jsonl');
  if (existsSync(path)) return readRuns(path);
  throw new DomainError(
    'not_found',
    `${folder} is no experiment folder: it has neither runs.jsonl nor experiment.yaml`,
  );
}
