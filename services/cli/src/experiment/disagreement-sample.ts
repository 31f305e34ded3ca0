import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import { readPairs, type RolloutRow } from '@surefoot/preference';
import { disagreementDocument, pairResponses, type DisagreementDocument, type TextSet } from '../disagreement-document';
import type { Scorer } from '../scorer';
import { toJson } from '../terminal';
import { readEvaluation } from './run-samples';
import { runsFolder } from './runs-file';

const most = 200;
const path = (out: string) => join(out, 'disagreement.json');

/** What an experiment folder knows of its members' disagreement. */
export async function readDisagreement(out: string): Promise<DisagreementDocument | undefined> {
  return existsSync(path(out)) ? ((await readJson(path(out))) as DisagreementDocument) : undefined;
}

/**
 * Notes how far the members are apart on the start policy's first responses to the evaluation prompts: against the pairs that they
 * were fitted to where those are known, else against what the policy of one run answers after training.
 *
 * @param options.runId a run that has ended
 * @param options.pairs file of the pairs
 */
export async function writeDisagreementSample(
  out: string,
  { runId, scorer, pairs: file }: { runId: string; scorer: Scorer; pairs?: string },
): Promise<void> {
  if (existsSync(path(out)) || scorer.calibration.length < 2) return;
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
  await writeFileAtomically(path(out), `${toJson(found, 2)}\n`);
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
