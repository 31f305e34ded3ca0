import { answerBatch, answerStream, serveScorer, type Answer, type Scorer } from '@surefoot/scoring-server';
import { implement, type Logger, type RunningService } from '@surefoot/service';
import { JudgeService, type Judgement } from '@surefoot/proto/surefoot/judge/v1/judge';
import type { Config } from './config';

/** Starts a judge: one reward model, never an ensemble. */
export function startJudge(config: Config, logger: Logger): Promise<RunningService> {
  return serveScorer(config, logger, { service: judge, expectedMembers: 1 });
}

function judge(scorer: Scorer) {
  const toResponse = (answers: Answer[]) => ({ judgements: answers.map(toJudgement), model: scorer.describe().model });
  return implement(JudgeService, {
    evaluate: (requests, send, context) =>
      answerStream(scorer, requests, (answers) => send(toResponse(answers)), context),
    evaluateBatch: async ({ rollouts }, context) => toResponse(await answerBatch(scorer, rollouts, context)),
    getJudge: () => {
      const { model, tokenizerDigest, limits } = scorer.describe();
      return { model, tokenizerDigest, limits };
    },
  });
}

function toJudgement({ id, outcome }: Answer): Judgement {
  if ('status' in outcome) return { id, status: outcome.status, score: undefined };
  return { id, status: undefined, score: outcome.scores[0] };
}
