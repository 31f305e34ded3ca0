import { ensembleStatistics } from '@surefoot/reward';
import { defineCommand } from '../command';
import { outFile, refuseOverwriting, writeLines } from '../lines';
import { flag, option, text } from '../option';
import { scoreFile, scoreFileOptions } from '../score-file';

export const score = defineCommand({
  name: 'score',
  summary: 'mean, variance and each member’s score of every rollout; variance is null for one member',
  example: 'score --ensemble ensemble --in rollouts.jsonl',
  options: {
    ...scoreFileOptions,
    model: option('<dir>', 'reward-model folder: an ensemble of one', text.optional()),
    adapter: option('<dir>', 'adapter on the model, with its score head', text.optional()),
    out: outFile,
    raw: option('', 'scores as the members give them, without calibration', flag),
  },
  async run(options, context) {
    await refuseOverwriting(options);
    await writeLines(options.out, context.terminal, async (write) => {
      await scoreFile(options, context, ({ givenId }, scores, model) =>
        write({ id: givenId, ...ensembleStatistics(scores), scores, model }),
      );
    });
  },
});
