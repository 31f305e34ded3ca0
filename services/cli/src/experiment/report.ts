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
import { readRunSamples, type FolderRuns } from './run-samples';

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
  const experiments = await Promise.all(
    folders.map(async (folder) => ({
      ...{ folder, runs: await runsOf(folder) },
      prefix: folders.length === 1 ? '' : `${basename(resolve(folder))}/`,
    })),
  );
  const runs = together(experiments);
  const report = riskReport(runs);
  const configuration = experimentPath(first);
  await writeReportFiles(html, {
    title: existsSync(configuration)
      ? (await readResolvedExperiment(configuration)).config.name
      : basename(resolve(first)),
    report,
    runs,
    disagreement: await readDisagreements(folders),
    rewardBench: await readRewardBench([first, dirname(html)]),
    samples: await readRunSamples(experiments, report.measure),
    config: await readConfigurations(folders),
  });
  return { report, html, verdict: verdictOf(report) };
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

/** The runs of a folder: from the folders of its runs where it has an experiment, else from runs.jsonl alone. */
async function runsOf(folder: string): Promise<RunRecord[]> {
  const path = join(folder, 'runs.jsonl');
  if (existsSync(experimentPath(folder)) && existsSync(join(folder, 'runs'))) {
    const { config, members } = await readResolvedExperiment(experimentPath(folder));
    const plan = planRuns(config, members);
    const lines = await collectRuns(folder, plan);
    return lines.length > 0 ? writeRunsFile(folder, plan) : lines;
  }
  if (!existsSync(path))
    throw new DomainError(
      'not_found',
      `${folder} is no experiment folder: it has neither runs.jsonl nor experiment.yaml`,
    );
  return readRuns(path);
}

/** Runs of several experiments: blocks are told apart by their folder, indices count on. */
function together(experiments: FolderRuns[]): RunRecord[] {
  let offset = 0;
  return experiments.flatMap(({ runs, prefix }) => {
    const start = offset;
    offset += Math.max(-1, ...runs.map(({ index }) => index)) + 1;
    return runs.map((run) => ({ ...run, index: start + run.index, block: `${prefix}${run.block}` }));
  });
}

function verdictOf(report: RiskReport): string {
  const verdicts = report.comparisons.map(({ a, b, verdict }) => `verdict, ${b} against ${a}: ${verdict}`);
  const texts = verdictTexts(report).map(({ headline, evidence }) => `${headline} ${evidence}`);
  const sentences = texts.map((words, i) => [verdicts[i], words].filter(Boolean).join('\n'));
  return [...sentences, ...report.warnings.map((warning) => `warning: ${warning}`)].join('\n');
}
