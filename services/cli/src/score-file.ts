import { DomainError } from '@surefoot/errors';
import { readRollouts, type InvalidRow, type RolloutLine } from '@surefoot/preference';
import type { Context } from './command';
import { inBatches, inFile, rolloutLine } from './lines';
import { weights } from './model-options';
import { flag, option } from './option';
import { openScorer, scorerOptions, type ScorerChoice } from './scorer';

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
  let skipped = 0;
  let scored = 0;
  const passOver = (reason: string) => {
    skipped += 1;
    context.terminal.note(`skipped ${reason}`);
  };
  const noteRow = ({ file, line, reason }: InvalidRow) => passOver(`${file} line ${line}: ${reason}`);
  const rows = await readRollouts(options.in, options.skipInvalid ? noteRow : undefined);
  const scorer = await openScorer(options, context);
  const calibration = options.raw ? scorer.calibration.map(() => ({ mean: 0, scale: 1 })) : scorer.calibration;
  const task = { label: 'score', unit: 'rollouts', size: scorer.batchSize };
  try {
    await inBatches(rows, context, task, async (batch) => {
      for (const [i, attempt] of (await scorer.tryScore(batch)).entries()) {
        if (!(attempt instanceof DomainError)) {
          scored += 1;
          const scores = calibration.map(({ mean, scale }, k) => (attempt[k]! - mean) / scale);
          await use(batch[i]!, scores, scorer.model);
        } else if (options.skipInvalid) passOver(attempt.message);
        else throw attempt;
      }
    });
  } finally {
    scorer.close();
  }
  if (skipped > 0) context.terminal.note(`${skipped} rollouts skipped`);
  if (scored === 0) throw new DomainError('invalid_argument', `${options.in}: no rollout can be scored`);
  return { model: scorer.model, skipped };
}
