import { dirname, join } from 'node:path';
import { makeFolder, readJsonLines, writeFileAtomically } from '@surefoot/files';
import { DomainError } from '@surefoot/errors';
import { parseRunRecord, type RunRecord } from '@surefoot/risk';
import { renderReport, type ReportContent } from './render-report';

/**
 * Writes the page, and `report.json` beside it, each whole or not at all.
 *
 * @param path of the page, such as `out/report.html`; its folder is made where there is none
 * @param writePage how the page is written: by `writeOutput` where a user has named it
 * @throws DomainError failed_precondition or resource_exhausted where the folder cannot be written
 */
export async function writeReport(
  path: string,
  content: ReportContent,
  writePage: (path: string, page: string) => Promise<void> = writeFileAtomically,
): Promise<void> {
  const page = await renderReport(content);
  await makeFolder(dirname(path));
  await writeFileAtomically(join(dirname(path), 'report.json'), `${JSON.stringify(content.report, null, 2)}\n`);
  await writePage(path, page);
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
