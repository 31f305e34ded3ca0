import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, readText, writeFileAtomically, writeOutput } from '@surefoot/files';
import { writeReport as writeReportFiles, type RewardBenchScores } from '@surefoot/report';
import { riskReport, verdictTexts, type RiskReport } from '@surefoot/risk';
import { readDisagreements } from './disagreement-sample';
import { experimentPath } from './experiment-file';
import { poolFolders } from './pool';
import { configurationWarnings } from './report-warnings';
import { readReportedFolders, type ReportedFolder } from './reported-folder';
import { readRunSamples } from './run-samples';

/** A report that has been written. */
export interface WrittenReport {
  report: RiskReport;
  /** Path of the page. */
  html: string;
  /** What the comparisons show, in words. */
  verdict: string;
}

/**
 * Writes report.json and report.html from the files of one experiment, or of several together.
 *
 * @param folders experiment folders; the first names the report
 * @param page path of the HTML file, default `report.html` in the first folder; report.json stands beside it
 * @throws DomainError not_found where a folder holds no runs; invalid_argument where no run has ended, a line is malformed, two folders hold
 *   the same runs, or a method has different settings in them
 */
export async function writeReport(folders: string[], page?: string): Promise<WrittenReport> {
  const [first] = folders as [string];
  const html = page ?? join(first, 'report.html');
  const experiments = poolFolders(await readReportedFolders(folders));
  const runs = experiments.flatMap(({ pooled }) => pooled);
  const placements = klPlacements(experiments);
  const statistics = riskReport(runs, { klPlacements: placements });
  const report = { ...statistics, warnings: [...configurationWarnings(experiments), ...statistics.warnings] };
  const content = {
    title: experiments[0]?.experiment?.config.name ?? basename(resolve(first)),
    report,
    runs,
    disagreement: await readDisagreements(experiments),
    rewardBench: await readRewardBench([first, dirname(html)]),
    samples: await readRunSamples(experiments, report.measure),
    config: await readConfigurations(folders),
    klPlacements: placements,
  };
  // The default page is no file that the user has named: in a folder from elsewhere it may be a link.
  await writeReportFiles(html, content, page === undefined ? writeFileAtomically : writeOutput);
  return { report, html, verdict: verdictOf(report) };
}

/** Where each method pays its KL penalty, as far as the folders say. */
function klPlacements(folders: ReportedFolder[]): Record<string, string> {
  const methods = folders.flatMap(({ experiment }) => experiment?.config.methods ?? []);
  return Object.fromEntries(methods.map(({ name, ppo }) => [name, ppo.klPlacement]));
}

/** The experiments as resolved, each under the name of its folder where there are several; undefined where none has any. */
async function readConfigurations(folders: string[]): Promise<string | undefined> {
  const known = folders.filter((folder) => existsSync(experimentPath(folder)));
  if (known.length === 0) return undefined;
  const texts = await Promise.all(known.map((folder) => readText(experimentPath(folder))));
  return texts.map((text, i) => (folders.length === 1 ? text : `# ${known[i]}\n${text}`)).join('\n');
}

/** What `rewardbench --out` left in one of the folders. */
async function readRewardBench(folders: string[]): Promise<RewardBenchScores | undefined> {
  const path = folders.map((folder) => join(folder, 'rewardbench.json')).find(existsSync);
  if (!path) return undefined;
  const document = (await readJson(path)) as Partial<RewardBenchScores> | null;
  if (!document?.mean?.sections || !Array.isArray(document.members))
    throw new DomainError('invalid_argument', `${path} is no document of surefoot rewardbench`);
  return document as RewardBenchScores;
}

function verdictOf(report: RiskReport): string {
  const verdicts = report.comparisons.map(({ a, b, verdict }) => `verdict, ${b} against ${a}: ${verdict}`);
  const texts = verdictTexts(report).map(({ headline, evidence }) => `${headline} ${evidence}`);
  const sentences = texts.map((words, i) => [verdicts[i], words].filter(Boolean).join('\n'));
  return [...sentences, ...report.warnings.map((warning) => `warning: ${warning}`)].join('\n');
}
