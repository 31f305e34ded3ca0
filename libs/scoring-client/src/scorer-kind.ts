import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { callUnary, createClient } from '@surefoot/service';
import type { ItemStatus, ModelIdentity, Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import { JudgeClient, type EvaluateRequest, type EvaluateResponse } from '@surefoot/proto/surefoot/judge/v1/judge';
import {
  RewardEnsembleClient,
  type Member,
  type ScoreRequest,
  type ScoreResponse,
} from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';

/** What a reward ensemble says about one rollout. */
export interface EnsembleScore {
  /** [K] raw scores in the order of `ScorerDescription.members`, float32 values. */
  memberScores: number[];
  /** Mean of the calibrated scores. */
  mean: number;
  /** Their unbiased variance; null for one member. */
  variance: number | null;
}

/** What a judge says about one rollout. */
export interface JudgeScore {
  /** Raw score, float64. */
  score: number;
}

/** What a pool of each kind gives. */
export interface ScoreByKind {
  'reward-ensemble': EnsembleScore;
  judge: JudgeScore;
}

/** What a scorer says about itself. */
export interface ScorerDescription {
  model: ModelIdentity;
  /** [K] members of an ensemble; none for a judge. */
  members: Member[];
  tokenizerDigest: string;
  limits: ScorerLimits;
}

/** One answer of a stream. */
export interface Answer<Score> {
  id: string;
  /** Set where the rollout has no score. */
  status: ItemStatus | undefined;
  score: Score | undefined;
}

/** One connection to one scorer, whatever its kind. */
export interface Connection<Score> {
  describe(deadlineMs: number): Promise<ScorerDescription>;
  open(): ScoreStream<Score>;
  close(): void;
}

/** A stream of rollouts one way and answers the other. */
export interface ScoreStream<Score> {
  call: {
    on(event: 'drain' | 'error', listener: () => void): unknown;
    on(event: 'status', listener: (status: StatusObject) => void): unknown;
    end(): unknown;
    cancel(): void;
  };
  /** False where the caller must wait for `drain`. */
  write(rollouts: Rollout[], cancelIds: string[]): boolean;
  onAnswers(listener: (answers: Answer<Score>[], model: ModelIdentity | undefined) => void): void;
}

type Connect<Score> = (address: string) => Connection<Score>;

/** How to talk to each kind of scorer. */
export const connectByKind: { [Kind in keyof ScoreByKind]: Connect<ScoreByKind[Kind]> } = {
  'reward-ensemble': (address) => {
    const client = createClient(RewardEnsembleClient, address);
    return {
      describe: async (deadlineMs) => complete(await callUnary(client, 'getEnsemble', {}, { deadlineMs }), address),
      open: () => {
        const call: ClientDuplexStream<ScoreRequest, ScoreResponse> = client.score();
        return {
          call,
          write: (rollouts, cancelIds) => call.write({ rollouts, cancelIds }),
          onAnswers: (listener) => call.on('data', ({ scores, model }) => listener(scores.map(ensembleAnswer), model)),
        };
      },
      close: () => client.close(),
    };
  },
  judge: (address) => {
    const client = createClient(JudgeClient, address);
    return {
      describe: async (deadlineMs) =>
        complete({ ...(await callUnary(client, 'getJudge', {}, { deadlineMs })), members: [] }, address),
      open: () => {
        const call: ClientDuplexStream<EvaluateRequest, EvaluateResponse> = client.evaluate();
        return {
          call,
          write: (rollouts, cancelIds) => call.write({ rollouts, cancelIds }),
          onAnswers: (listener) =>
            call.on('data', ({ judgements, model }) => listener(judgements.map(judgeAnswer), model)),
        };
      },
      close: () => client.close(),
    };
  },
};

function ensembleAnswer({ id, status, memberScores, mean, variance }: ScoreResponse['scores'][number]) {
  const score = mean === undefined ? undefined : { memberScores, mean, variance: variance ?? null };
  return { id, status, score };
}

function judgeAnswer({ id, status, score }: EvaluateResponse['judgements'][number]) {
  return { id, status, score: score === undefined ? undefined : { score } };
}

function complete(
  { model, members, tokenizerDigest, limits }: Partial<ScorerDescription>,
  address: string,
): ScorerDescription {
  if (!model || !limits || !members) throw new Error(`${address} does not say which model it serves`);
  return { model, members, tokenizerDigest: tokenizerDigest ?? '', limits };
}
