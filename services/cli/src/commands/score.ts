import { readRollouts } from '@surefoot/preference';
import { ensembleStatistics } from '@surefoot/reward';
import { defineCommand } from '../command';
import { inBatches, inFile, outFile, writeLines } from '../lines';
import { refuseUnavailableWeights, weights } from '../model-options';
import { flag, option, text } from '../option';
import { openScorer, scorerOptions } from '../scorer';

export const score = defineCommand({
  name: 'score',
  summary: 'mean, variance and each member’s score of every rollout; variance is null for one member',
  example: 'score --ensemble ensemble --in rollouts.jsonl',
  options: {
    ...scorerOptions,
    model: option('<dir>', 'reward-model folder: an ensemble of one', text.optional()),
    in: inFile,
    out: outFile,
    raw: option('', 'scores as the members give them, without calibration', flag),
    weights,
  },
  async run(options, context) {
    refuseUnavailableWeights(options.weights);
    const rows = await readRollouts(options.in);
    const scorer = await openScorer(options);
    const calibration = options.raw ? scorer.calibration.map(() => ({ mean: 0, scale: 1 })) : scorer.calibration;
    try {
      await writeLines(options.out, context.terminal, (write) =>
        inBatches(rows, context, { label: 'score', unit: 'rollouts', size: scorer.batchSize }, async (batch) => {
          for (const [i, raw] of (await scorer.score(batch)).entries()) {
            const scores = calibration.map(({ mean, scale }, k) => (raw[k]! - mean) / scale);
            await write({ id: batch[i]!.givenId, ...ensembleStatistics(scores), scores, model: scorer.model });
          }
        }),
      );
    } finally {
      scorer.close();
    }
  },
});
