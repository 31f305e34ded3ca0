import { answerBatch, answerStream, serveScorer, type Answer, type Scorer } from '@surefoot/scoring-server';
import { implement, type Logger, type RunningService } from '@surefoot/service';
import { RewardEnsembleService } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import type { Config } from './config';
import { toEnsemble, toRolloutScore } from './convert';

/** Starts a reward ensemble. */
export function startRewardEnsemble(config: Config, logger: Logger): Promise<RunningService> {
  return serveScorer(config, logger, { service: rewardEnsemble });
}

function rewardEnsemble(scorer: Scorer) {
  const toResponse = (answers: Answer[]) => {
    const { model, members } = scorer.describe();
    return { scores: answers.map((answer) => toRolloutScore(answer, members)), model };
  };
  return implement(RewardEnsembleService, {
    score: (requests, send, context) => answerStream(scorer, requests, (answers) => send(toResponse(answers)), context),
    scoreBatch: async ({ rollouts }, context) => toResponse(await answerBatch(scorer, rollouts, context)),
    getEnsemble: () => toEnsemble(scorer.describe()),
  });
}
