import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJson, writeFileAtomically } from '@surefoot/files';
import type { RolloutRow } from '@surefoot/preference';
import { disagreement, type Disagreement } from '@surefoot/reward';
import type { Scorer } from '../scorer';
import { toJson } from '../terminal';
import { readEvaluation } from './run-samples';
import { runsFolder } from './runs-file';

const texts = 200;
const path = (out: string) => join(out, 'disagreement.json');

/** What an experiment folder knows of its members' disagreement. */
export async function readDisagreement(out: string): Promise<Disagreement | undefined> {
  return existsSync(path(out)) ? ((await readJson(path(out))) as Disagreement) : undefined;
}

/**
 * Notes how far the members are apart on the start policy's first responses to the evaluation prompts.
 *
 * @param runId a run that has ended
 */
export async function writeDisagreementSample(out: string, runId: string, scorer: Scorer): Promise<void> {
  if (existsSync(path(out)) || scorer.calibration.length < 2) return;
  const rows: RolloutRow[] = [];
  for await (const { index, prompt, initial } of readEvaluation(join(runsFolder(out), runId))) {
    if (rows.length === texts) break;
    if (initial.response.trim() === '') continue;
    rows.push({ id: `response ${index}`, prompt, response: initial.response, truncated: false });
  }
  if (rows.length === 0) return;
  const scores = await calibratedScores(rows, scorer);
  const found = disagreement(
    scores,
    rows.map(({ id }) => id),
  );
  await writeFileAtomically(path(out), `${toJson(found, 2)}\n`);
}

/** Scores [N][K] in standard deviations of each member. */
async function calibratedScores(rows: RolloutRow[], { calibration, batchSize, score }: Scorer): Promise<number[][]> {
  const scores: number[][] = [];
  for (let start = 0; start < rows.length; start += batchSize)
    for (const raw of await score(rows.slice(start, start + batchSize)))
      scores.push(calibration.map(({ mean, scale }, k) => (raw[k]! - mean) / scale));
  return scores;
}
