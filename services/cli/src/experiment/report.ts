import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, readText } from '@surefoot/files';
import { readRuns, writeReport as writeReportFiles, type RewardBenchScores } from '@surefoot/report';
import { riskReport, verdictTexts, type RiskReport, type RunRecord } from '@surefoot/risk';
import { readResolvedExperiment } from './config';
import { readDisagreements } from './disagreement-sample';
import { experimentPath } from './experiment-file';
import { planRuns } from './plan';
import { collectRuns, writeRunsFile } from './runs-file';
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
 * @throws DomainError not_found where a folder holds no runs; invalid_argument where no run has ended or a line is malformed
 */
export async function writeReport(folders: string[], page?: string): Promise<WrittenReport> {
  const [first] = folders as [string];
  const html = page ?? join(first, 'report.html');
  const own = await Promise.all(folders.map(runsOf));
  const runs = own.length === 1 ? own[0]! : together(folders, own);
  const report = riskReport(runs);
  const configuration = experimentPath(first);
  const hasConfiguration = existsSync(configuration);
  await writeReportFiles(html, {
    title: hasConfiguration ? (await readResolvedExperiment(configuration)).config.name : basename(resolve(first)),
    report,
    runs,
    disagreement: await readDisagreements(folders),
    rewardBench: await readRewardBench([first, dirname(html)]),
    samples: await readRunSamples(first, own[0]!, report.measure),
    config: hasConfiguration ? await readText(configuration) : undefined,
  });
  return { report, html, verdict: verdictOf(report) };
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

/** The runs of a folder: from the folders of its runs where it has an experiment, else from runs.jsonl alone. */
async function runsOf(folder: string): Promise<RunRecord[]> {
  const path = join(folder, 'runs.jsonl');
  if (existsSync(experimentPath(folder)) && existsSync(join(folder, 'runs'))) {
    const { config, members } = await readResolvedExperiment(experimentPath(folder));
    const lines = await collectRuns(folder, planRuns(config, members));
    if (lines.length > 0) await writeRunsFile(folder, lines);
    return lines;
  }
  if (!existsSync(path))
    throw new DomainError(
      'not_found',
      `${folder} is no experiment folder: it has neither runs.jsonl nor experiment.yaml`,
    );
  return readRuns(path);
}

/** Runs of several experiments: blocks are told apart by their folder, indices count on. */
function together(folders: string[], own: RunRecord[][]): RunRecord[] {
  let offset = 0;
  return own.flatMap((runs, i) => {
    const start = offset;
    offset += Math.max(-1, ...runs.map(({ index }) => index)) + 1;
    const name = basename(resolve(folders[i]!));
    return runs.map((run) => ({ ...run, index: start + run.index, block: `${name}/${run.block}` }));
  });
}

function verdictOf(report: RiskReport): string {
  const verdicts = report.comparisons.map(({ a, b, verdict }) => `verdict, ${b} against ${a}: ${verdict}`);
  const texts = verdictTexts(report).map(({ headline, evidence }) => `${headline} ${evidence}`);
  const sentences = texts.map((words, i) => [verdicts[i], words].filter(Boolean).join('\n'));
  return [...sentences, ...report.warnings.map((warning) => `warning: ${warning}`)].join('\n');
}
