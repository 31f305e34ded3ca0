import { sample, type LanguageModel } from '@surefoot/language-model';
import type { PpoConfig, Rollout } from '@surefoot/ppo';
import type { RandomStream } from '@surefoot/tensor';
import type { EncodedPrompt, Start } from './start';
import type { RolloutToScore, Scores, ScorersAsked, TrainingContext } from './training-job';

/** A response that a policy gave, and what the oracle thinks of it. */
export interface SampledRollout extends Rollout {
  prompt: EncodedPrompt;
  /** Special tokens left out. */
  response: string;
  /** Undefined without an oracle. */
  gold?: number;
}

/** Rollouts, and their scores as soon as all have come. */
export interface ScoredSampling {
  rollouts: SampledRollout[];
  /** In the order of the rollouts. */
  scores: Promise<Scores>;
}

/**
 * Samples a response to each prompt, chunk by chunk; each chunk is on its way to the scorers while the next is sampled.
 *
 * @param policy who answers
 * @param prompts one response each
 * @param options.random stream of row i, which decides its response whatever the chunks
 * @param options.asked which scorers; a run without a judge asks none
 *
 * Tensors: none are kept.
 */
export async function sampleAndScore(
  policy: LanguageModel,
  prompts: EncodedPrompt[],
  options: {
    start: Start;
    context: TrainingContext;
    ppo: PpoConfig;
    chunkSize: number;
    random: (row: number) => RandomStream;
    asked: ScorersAsked;
    /** Name of the stage that this is; absent within an iteration. */
    stage?: string;
  },
): Promise<ScoredSampling> {
  const { start, context, ppo, chunkSize, random, asked, stage } = options;
  const rollouts: SampledRollout[] = [];
  const scores: Promise<Scores>[] = [];
  for (let from = 0; from < prompts.length; from += chunkSize) {
    context.checkStopped();
    if (stage) context.onStage({ name: stage, done: from, total: prompts.length });
    const chunk = prompts.slice(from, from + chunkSize);
    const samples = await sample(
      policy,
      chunk.map(({ ids }) => ids),
      {
        maxNewTokens: ppo.maxNewTokens,
        temperature: ppo.temperature,
        random: (row) => random(from + row),
      },
    );
    const sampled = samples.map(({ ids, finish }, row) => {
      const prompt = chunk[row]!;
      const response = start.tokenizer.decode(ids);
      const hasEos = finish === 'eos';
      const gold = start.gold?.(prompt.prompt, response, hasEos);
      return { prompt, promptIds: prompt.ids, responseIds: ids, response, hasEos, ...(gold !== undefined && { gold }) };
    });
    const tokenizerDigest = start.tokenizer.digest;
    const scoring = context.score({ rollouts: sampled.map(toScore), tokenizerDigest, asked });
    // A failure is met where the scores are awaited; until then it must not count as unhandled.
    scoring.catch(() => undefined);
    scores.push(scoring);
    rollouts.push(...sampled);
  }
  return { rollouts, scores: joinScores(scores) };
}

function toScore({ prompt, response, hasEos, promptIds, responseIds }: SampledRollout): RolloutToScore {
  const ids = { promptIds: Array.from(promptIds), responseIds: Array.from(responseIds) };
  return { prompt: prompt.prompt, response, hasEos, ...ids };
}

function joinScores(chunks: Promise<Scores>[]): Promise<Scores> {
  const joined = Promise.all(chunks).then((scores) => ({
    members: scores.flatMap(({ members }) => members),
    judge: scores.flatMap(({ judge }) => judge),
  }));
  joined.catch(() => undefined);
  return joined;
}
