import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { makeFolder, readJson, writeFileAtomically } from '@surefoot/files';
import { readPairs, type RolloutRow } from '@surefoot/preference';
import type { DisagreementScores, EnsembleDisagreement } from '@surefoot/report';
import { mean } from '@surefoot/risk';
import { disagreementDocument, pairResponses, type DisagreementDocument, type TextSet } from '../disagreement-document';
import { isCalibrated, type Scorer } from '../scorer';
import { toJson } from '../terminal';
import { runId } from './plan';
import type { ReportedFolder } from './reported-folder';
import { evaluationPath, readEvaluation } from './run-samples';
import { runsFolder, type RunLine } from './runs-file';

const most = 200;

const folderOf = (out: string) => join(out, 'disagreement');
/** Each block has a file of its own: processes that share the folder do not overwrite what others found. */
const path = (out: string, block: string) => join(folderOf(out), `${block}.json`);

/** How far the members of a block's ensemble are apart. */
interface BlockDisagreement extends DisagreementDocument {
  /** Id of the run whose responses they scored. */
  run: string;
  /** Whether scores are in standard deviations of each member. */
  calibrated: boolean;
}

async function readBlock(out: string, block: string): Promise<BlockDisagreement | undefined> {
  return existsSync(path(out, block)) ? ((await readDocument(path(out, block))) as BlockDisagreement) : undefined;
}

async function readDocument(file: string): Promise<DisagreementScores> {
  const document = (await readJson(file)) as Partial<DisagreementScores> | null;
  if (!Array.isArray(document?.texts))
    throw new DomainError('invalid_argument', `${file} says nothing of disagreement: remove it`);
  return document as DisagreementScores;
}

/**
 * What an experiment folder knows of its members' disagreement: all of its first block, and every block in brief, in index order. A
 * folder without any may hold the disagreement.json of `reward disagree`, or of an earlier release.
 *
 * @throws DomainError invalid_argument where a file is none of disagreement
 */
export async function readDisagreement({
  folder,
  runs,
}: Pick<ReportedFolder, 'folder' | 'runs'>): Promise<DisagreementScores | undefined> {
  const blocks = new Set(runs.toSorted((a, b) => a.index - b.index).map(({ block }) => block));
  const found: [string, BlockDisagreement][] = [];
  for (const block of blocks) {
    const document = await readBlock(folder, block);
    if (document) found.push([block, document]);
  }
  if (found.length > 0) return { ...found[0]![1], ensembles: found.map((each) => inBrief(...each)) };
  const other = join(folder, 'disagreement.json');
  return existsSync(other) ? readDocument(other) : undefined;
}

/** The same of several folders together: the first that knows of one, and every ensemble in brief, told apart by their folder. */
export async function readDisagreements(
  folders: Pick<ReportedFolder, 'folder' | 'name' | 'runs'>[],
): Promise<DisagreementScores | undefined> {
  const found = await Promise.all(folders.map(readDisagreement));
  const first = found.find((each) => each !== undefined);
  if (!first || folders.length === 1) return first;
  const ensembles = found.flatMap((document, i) =>
    (document?.ensembles ?? []).map((each) => ({ ...each, name: `${folders[i]!.name}/${each.name}` })),
  );
  return { ...first, ensembles };
}

/**
 * The run of a block whose responses its ensemble is still to score: the first in index order that has completed, whichever ended
 * first. Undefined where none has, or its responses were scored.
 *
 * @param lines of the block's runs, as `collectRuns`
 */
export async function runToSample(out: string, block: string, lines: RunLine[]): Promise<string | undefined> {
  const ids = lines
    .filter((line) => line.block === block && line.status === 'completed')
    .map(({ method, run }) => runId(method, block, run));
  const id = ids.find((each) => existsSync(evaluationPath(join(runsFolder(out), each))));
  return id !== undefined && (await readBlock(out, block))?.run !== id ? id : undefined;
}

/** Forgets what runs showed that are done again: they may answer otherwise. */
export async function forgetSamples(out: string, runs: { id: string; block: { name: string } }[]): Promise<void> {
  const ids = new Set(runs.map(({ id }) => id));
  for (const block of new Set(runs.map((run) => run.block.name))) {
    const sampled = await readBlock(out, block);
    if (sampled && ids.has(sampled.run)) await rm(path(out, block), { force: true });
  }
}

/**
 * Notes how far the members of a block's ensemble are apart on the start policy's first responses to the evaluation prompts: against
 * the pairs that they were fitted to where those are known, else against what the policy of one run answers after training.
 *
 * @param options.runId a run of the block that has completed
 * @param options.block its name
 * @param options.pairs file of the pairs
 * @returns false where there is nothing to note: a single member, or no response that can be scored
 */
export async function writeDisagreementSample(
  out: string,
  { runId, block, scorer, pairs: file }: { runId: string; block: string; scorer: Scorer; pairs?: string },
): Promise<boolean> {
  if (scorer.calibration.length < 2) return false;
  const start: RolloutRow[] = [];
  const end: RolloutRow[] = [];
  for await (const { index, prompt, initial, final } of readEvaluation(join(runsFolder(out), runId))) {
    if (start.length === most) break;
    const rollout = ({ response }: { response: string }) =>
      response.trim() === '' ? [] : [{ id: `response ${index}`, prompt, response, truncated: false }];
    start.push(...rollout(initial));
    if (final) end.push(...rollout(final));
  }
  const score = async (name: string, rows: RolloutRow[]): Promise<TextSet> => ({
    name,
    texts: await scoredTexts(rows, scorer),
  });
  const own = await score('responses of the start policy', start);
  if (own.texts.length === 0) return false;
  const pairs = file === undefined ? undefined : (await readPairs([file])).pairs;
  const others: [string, RolloutRow[]] = pairs
    ? ['responses of the pairs', pairResponses(pairs, most)]
    : [`responses after training (${runId})`, end];
  const against = await score(...others);
  const found = disagreementDocument(own, {
    against: against.texts.length > 0 ? against : undefined,
    pairs: pairs && { name: 'the pairs', pairs },
  });
  const content: BlockDisagreement = { run: runId, calibrated: isCalibrated(scorer.calibration), ...found };
  await makeFolder(folderOf(out));
  await writeFileAtomically(path(out, block), `${toJson(content, 2)}\n`);
  return true;
}

function inBrief(
  name: string,
  { members, texts, rangeQuantiles, spearman }: DisagreementDocument,
): EnsembleDisagreement {
  const rangeAt = (level: number) => rangeQuantiles.find((quantile) => quantile.level === level)!.value;
  const correlations = spearman.flatMap((row, a) => row.filter((rho, b) => a !== b && rho !== null)) as number[];
  return {
    ...{ name, members, texts: texts.length },
    ...{ medianRange: rangeAt(0.5), widestRange: rangeAt(1) },
    correlation: correlations.length > 0 ? mean(correlations) : null,
  };
}

/** Texts with scores [K] in standard deviations of each member; those that cannot be scored, such as too long ones, are left out. */
async function scoredTexts(
  rows: RolloutRow[],
  { calibration, batchSize, tryScore }: Scorer,
): Promise<TextSet['texts']> {
  const texts: TextSet['texts'] = [];
  for (let start = 0; start < rows.length; start += batchSize) {
    const batch = rows.slice(start, start + batchSize);
    for (const [i, raw] of (await tryScore(batch)).entries())
      if (!(raw instanceof DomainError))
        texts.push({ ...batch[i]!, scores: calibration.map(({ mean, scale }, k) => (raw[k]! - mean) / scale) });
  }
  return texts;
}
