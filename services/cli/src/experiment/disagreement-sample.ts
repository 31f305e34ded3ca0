import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import { readPairs, type RolloutRow } from '@surefoot/preference';
import type { EnsembleDisagreement } from '@surefoot/report';
import { mean } from '@surefoot/risk';
import { disagreementDocument, pairResponses, type DisagreementDocument, type TextSet } from '../disagreement-document';
import { isCalibrated, type Scorer } from '../scorer';
import { toJson } from '../terminal';
import { readEvaluation } from './run-samples';
import { runsFolder } from './runs-file';

const most = 200;
const path = (out: string) => join(out, 'disagreement.json');

/** disagreement.json of an experiment: that of the first ensemble, and every ensemble in brief. */
export interface ExperimentDisagreement extends DisagreementDocument {
  /** Whether scores are in standard deviations of each member. */
  calibrated?: boolean;
  ensembles: EnsembleDisagreement[];
}

/** What an experiment folder knows of its members' disagreement. */
export async function readDisagreement(out: string): Promise<ExperimentDisagreement | undefined> {
  return existsSync(path(out)) ? ((await readJson(path(out))) as ExperimentDisagreement) : undefined;
}

/** The same of several folders together: the first that knows of one, and every ensemble in brief, told apart by their folder. */
export async function readDisagreements(folders: string[]): Promise<ExperimentDisagreement | undefined> {
  const found = await Promise.all(folders.map(readDisagreement));
  const first = found.find((each) => each !== undefined);
  if (!first || folders.length === 1) return first;
  const ensembles = found.flatMap((document, i) => {
    const folder = basename(resolve(folders[i]!));
    return (document?.ensembles ?? []).map((each) => ({ ...each, name: `${folder}/${each.name}` }));
  });
  return { ...first, ensembles };
}

/**
 * Notes how far the members of a block's ensemble are apart on the start policy's first responses to the evaluation prompts: against
 * the pairs that they were fitted to where those are known, else against what the policy of one run answers after training. Of the
 * first block that is noted, text by text; of all, in brief.
 *
 * @param options.runId a run of the block that has ended
 * @param options.block its name
 * @param options.pairs file of the pairs
 */
export async function writeDisagreementSample(
  out: string,
  { runId, block, scorer, pairs: file }: { runId: string; block: string; scorer: Scorer; pairs?: string },
): Promise<void> {
  const known = await readDisagreement(out);
  const isNoted = known?.ensembles.some(({ name }) => name === block);
  if (isNoted || scorer.calibration.length < 2) return;
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
  if (own.texts.length === 0) return;
  const pairs = file === undefined ? undefined : (await readPairs([file])).pairs;
  const others: [string, RolloutRow[]] = pairs
    ? ['responses of the pairs', pairResponses(pairs, most)]
    : [`responses after training (${runId})`, end];
  const against = await score(...others);
  const found = disagreementDocument(own, {
    against: against.texts.length > 0 ? against : undefined,
    pairs: pairs && { name: 'the pairs', pairs },
  });
  const calibrated = isCalibrated(scorer.calibration);
  const ensembles = [...(known?.ensembles ?? []), inBrief(block, found)];
  await writeFileAtomically(path(out), `${toJson({ ...(known ?? { ...found, calibrated }), ensembles }, 2)}\n`);
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
