import { join } from 'node:path';
import { readJsonLines, writeFileAtomically } from '@surefoot/files';
import { DomainError } from '@surefoot/errors';
import { parseRunRecord, type RunRecord } from '@surefoot/risk';
import { renderReport, type ReportContent } from './render-report';

/**
 * Writes `report.json` and `report.html` into a folder that exists, each whole or not at all.
 *
 * @returns the path of report.html
 * @throws DomainError not_found, failed_precondition or resource_exhausted where the folder cannot be written
 */
export async function writeReport(folder: string, content: ReportContent): Promise<string> {
  const page = await renderReport(content);
  await writeFileAtomically(join(folder, 'report.json'), `${JSON.stringify(content.report, null, 2)}\n`);
  const path = join(folder, 'report.html');
  await writeFileAtomically(path, page);
  return path;
}

/**
 * The runs of a `runs.jsonl`.
 *
 * @throws DomainError not_found; invalid_argument naming file, line and field
 */
export async function readRuns(path: string): Promise<RunRecord[]> {
  const runs: RunRecord[] = [];
  for await (const { line, value, problem } of readJsonLines(path)) {
    const where = `${path} line ${line}`;
    if (problem) throw new DomainError('invalid_argument', `${where}: ${problem}`);
    runs.push(parseRunRecord(value, where));
  }
  return runs;
}
