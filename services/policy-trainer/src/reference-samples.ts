import { fitScoreNormaliser, type ScoreNormaliser } from '@surefoot/reward';
import { randomStream } from '@surefoot/tensor';
import type { EvaluationSetting } from './evaluation';
import { mean } from './mean';
import { sampleAndScore } from './sampling';

const chunkSize = 128;

/** What the start policy's samples say. */
export interface ReferenceSamples {
  normaliser: ScoreNormaliser;
  /** Share of the samples that were cut at `maxNewTokens`, 0..1. */
  cutShare: number;
}

/**
 * Fits the score normaliser on `referenceSamples` responses of the start policy to the training prompts.
 *
 * The prompts come in a shuffled order, in turn, so that each has the same number of samples give or take one; prompts,
 * order and responses hang on the evaluation seed alone, so that runs of one experiment share them.
 */
export async function fitOnReferenceSamples({ start, context, ppo }: EvaluationSetting): Promise<ReferenceSamples> {
  const { referenceSamples, evaluationSeed } = ppo;
  const order = randomStream(evaluationSeed, 'reference-prompts').shuffle([...start.prompts]);
  const prompts = Array.from({ length: referenceSamples }, (_, i) => order[i % order.length]!);
  const { rollouts, scores } = await sampleAndScore(start.reference, prompts, {
    start,
    context,
    ppo,
    chunkSize,
    random: (row) => randomStream(evaluationSeed, 'reference', row),
    asked: { ensemble: true, judge: false },
    stage: 'reference samples',
  });
  const { members } = await scores;
  return {
    normaliser: fitScoreNormaliser({ scores: members, promptKeys: prompts.map(({ key }) => key) }),
    cutShare: mean(rollouts.map(({ hasEos }) => Number(!hasEos))),
  };
}
