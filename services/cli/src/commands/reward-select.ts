import { selectPairs, selectResponses } from '@surefoot/reward';
import type { RolloutLine } from '@surefoot/preference';
import { defineCommand } from '../command';
import { outFile, refuseOverwriting, writeLines } from '../lines';
import { flag, integer, option } from '../option';
import { scoreFile, scoreFileOptions } from '../score-file';

export const rewardSelect = defineCommand({
  name: 'reward select',
  summary: 'which responses to have labelled next: those on which the members disagree most, as JSON lines',
  example: 'reward select --ensemble ensemble --in unlabelled.jsonl --top 100 --pairs --out to-label.jsonl',
  options: {
    ...scoreFileOptions,
    top: option(
      '<n>',
      'how many, most disagreed on first: by disagreement, the standard deviation over the members of their calibrated scores',
      integer(),
    ),
    pairs: option(
      '',
      'pairs of responses to one prompt, for comparison; the widest pair of each prompt, by the same of the difference of their scores',
      flag,
    ),
    out: outFile,
  },
  async run({ top, pairs, out, ...options }, context) {
    await refuseOverwriting({ in: options.in, out });
    const rows: RolloutLine[] = [];
    const scored: { prompt: string; scores: number[] }[] = [];
    await scoreFile(options, context, (row, scores) => {
      rows.push(row);
      // A rollout given as ids has no prompt that another could share.
      scored.push({ prompt: row.prompt === undefined ? `${rows.length}` : JSON.stringify(row.prompt), scores });
    });
    const shown = (index: number) => {
      const { givenId: id, response, ids } = rows[index]!;
      return { id, ...(ids ? { ids } : { response }) };
    };
    const lines = pairs
      ? selectPairs(scored, top).map(({ indices, disagreement }) => {
          const [first, second] = indices.map(shown);
          return { disagreement, prompt: rows[indices[0]]!.prompt, first, second };
        })
      : selectResponses(scored, top).map(({ index, disagreement }) => {
          const { id, ...rest } = shown(index);
          return { id, disagreement, prompt: rows[index]!.prompt, ...rest };
        });
    await writeLines(out, context.terminal, async (write) => {
      for (const [i, line] of lines.entries()) await write({ rank: i + 1, ...line });
    });
  },
});
