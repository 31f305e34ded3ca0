import { ensembleStatistics, type Calibration } from '@surefoot/reward';
import type { Answer, ScorerDescription } from '@surefoot/scoring-server';
import type { GetEnsembleResponse, RolloutScore } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';

/** An answer with its statistics: mean and variance of the calibrated scores, beside the raw ones. */
export function toRolloutScore({ id, outcome }: Answer, calibration: Calibration[]): RolloutScore {
  if ('status' in outcome)
    return { id, status: outcome.status, memberScores: [], mean: undefined, variance: undefined };
  const { mean, variance } = ensembleStatistics(outcome.scores, calibration);
  return { id, status: undefined, memberScores: Array.from(outcome.scores), mean, variance: variance ?? undefined };
}

export function toEnsemble({ model, kind, members, tokenizerDigest, limits }: ScorerDescription): GetEnsembleResponse {
  const withWireSeed = members.map((member) => ({ ...member, seed: BigInt.asUintN(64, BigInt(member.seed)) }));
  return { model, kind, members: withWireSeed, tokenizerDigest, limits };
}
