import { heldOutReport, type HeldOutReport } from '@surefoot/preference';
import type { EncodedPair } from './encode-pairs';
import type { MemberEntry } from './ensemble-file';
import type { FittedMember, MemberFit, MemberPlace } from './ensemble-kind';
import { calibrationOf, type Calibration } from './ensemble-statistics';

/** Raw scores of pairs by one member. */
export interface PairScores {
  /** [N] */
  chosen: number[];
  /** [N] */
  rejected: number[];
}

/** What a fitted member turned out to be. */
export interface MemberEvaluation {
  entry: MemberEntry;
  /** On the pairs it was fitted to. */
  training: HeldOutReport;
  /** Of those. */
  trainingScores: PairScores;
  /** Of the held-out pairs. */
  heldOutScores: PairScores;
}

/**
 * Loads a member as users will, and scores the pairs it was fitted to and the held-out ones.
 *
 * @throws DomainError failed_precondition where its scores do not vary, diverged where one is not finite
 */
export async function evaluateMember(
  fit: Pick<MemberFit, 'open'>,
  place: MemberPlace,
  pairs: EncodedPair[],
  heldOut: EncodedPair[],
): Promise<MemberEvaluation> {
  const member = await fit.open(place);
  try {
    const trainingScores = await scorePairs(member, pairs);
    const calibration = calibrationOf(scoresOfTexts([trainingScores]))[0] as Calibration;
    const { seed, path } = place;
    return {
      entry: { seed, path, sha256: member.sha256, ...calibration },
      training: heldOutReport(trainingScores.chosen, trainingScores.rejected),
      trainingScores,
      heldOutScores: await scorePairs(member, heldOut),
    };
  } finally {
    member.dispose();
  }
}

/** The scores [2N][K] of K members, a row for each text of the pairs. */
export function scoresOfTexts(scores: PairScores[]): number[][] {
  const rows = (side: keyof PairScores) =>
    (scores[0]?.[side] ?? []).map((_, i) => scores.map((member) => member[side][i] as number));
  return [...rows('chosen'), ...rows('rejected')];
}

/** The mean over the members of each raw score. */
export function meanScores(scores: PairScores[]): PairScores {
  const mean = (side: keyof PairScores) =>
    (scores[0]?.[side] ?? []).map(
      (_, i) => scores.reduce((sum, member) => sum + (member[side][i] as number), 0) / scores.length,
    );
  return { chosen: mean('chosen'), rejected: mean('rejected') };
}

/** Raw scores of pairs by one member, in their order. */
async function scorePairs(member: Pick<FittedMember, 'score'>, pairs: EncodedPair[]): Promise<PairScores> {
  const scores = await member.score([...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)]);
  return { chosen: scores.slice(0, pairs.length), rejected: scores.slice(pairs.length) };
}
