import { DomainError } from '@surefoot/errors';
import { inputName } from '@surefoot/files';
import { readRollouts, type InvalidRow, type RolloutLine, type RolloutRow } from '@surefoot/preference';
import { counted } from '@surefoot/risk';
import type { Context } from './command';
import { inBatches, inFile, rolloutLine } from './lines';
import { weights } from './model-options';
import { flag, option } from './option';
import { isCalibrated, noteUncalibrated, openScorer, scorerOptions, type ScorerChoice } from './scorer';

/** The options of commands that score a file of rollouts. */
export const scoreFileOptions = {
  ...scorerOptions,
  in: inFile(rolloutLine),
  skipInvalid: option('', 'pass over rollouts that cannot be read or scored, and name them', flag),
  weights,
};

/** What was scored. */
export interface ScoredFile {
  /** `name@version` of what scored. */
  model: string;
  /** Whether scores are standard deviations of each member; raw ones are of an ensemble that was imported and never calibrated. */
  isCalibrated: boolean;
  /** Rollouts passed over. */
  skipped: number;
}

/**
 * Scores the rollouts of a file, a batch at a time.
 *
 * @param options.raw true for scores as the members give them; otherwise standard deviations of each member
 * @param use is given each rollout with its scores [K], in the order of the file
 * @throws DomainError naming the rollout that cannot be scored, unless `skipInvalid`; or where none can be
 */
export async function scoreFile(
  options: ScorerChoice & { in: string; skipInvalid: boolean; raw?: boolean },
  context: Context,
  use: (row: RolloutLine, scores: number[], model: string) => Promise<void> | void,
): Promise<ScoredFile> {
  let malformed = 0;
  const noteRow = ({ file, line, reason }: InvalidRow) => {
    malformed += 1;
    context.terminal.note(`skipped ${file} line ${line}: ${reason}`);
  };
  const rows = await readRollouts(options.in, options.skipInvalid ? noteRow : undefined);
  const { skipped, ...scored } = await scoreRollouts(rows, options, context, use);
  const all = malformed + skipped;
  if (all > 0) context.terminal.note(`${counted(all, 'rollout')} skipped`);
  return { ...scored, skipped: all };
}

/**
 * Scores rollouts of a file, a batch at a time; as {@link scoreFile}.
 *
 * @param rows with ids that differ; `source` is what messages call the file of one that is not from `--in`
 */
export async function scoreRollouts<Row extends RolloutRow & { source?: string }>(
  rows: Row[],
  options: ScorerChoice & { in: string; skipInvalid: boolean; raw?: boolean },
  context: Context,
  use: (row: Row, scores: number[], model: string) => Promise<void> | void,
): Promise<ScoredFile> {
  let skipped = 0;
  let scored = 0;
  const scorer = await openScorer(options, context);
  const calibration = options.raw ? scorer.calibration.map(() => ({ mean: 0, scale: 1 })) : scorer.calibration;
  if (!options.raw) noteUncalibrated(scorer, options, context);
  const task = { label: 'score', unit: 'rollouts', size: scorer.batchSize };
  try {
    await inBatches(rows, context, task, async (batch) => {
      for (const [i, attempt] of (await scorer.tryScore(batch)).entries()) {
        const row = batch[i]!;
        if (!(attempt instanceof DomainError)) {
          scored += 1;
          const scores = calibration.map(({ mean, scale }, k) => (attempt[k]! - mean) / scale);
          await use(row, scores, scorer.model);
          continue;
        }
        const problem = `${row.source ?? inputName(options.in)} ${attempt.message}`;
        if (!options.skipInvalid) throw new DomainError(attempt.kind, problem, { cause: attempt });
        skipped += 1;
        context.terminal.note(`skipped ${problem}`);
      }
    });
  } finally {
    scorer.close();
  }
  if (scored === 0) throw new DomainError('invalid_argument', `${inputName(options.in)}: no rollout can be scored`);
  return { model: scorer.model, isCalibrated: isCalibrated(calibration), skipped };
}
