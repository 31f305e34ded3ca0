import { join } from 'node:path';
import { disposeModel, loadModel, type LanguageModel } from '@surefoot/language-model';
import { heldOutReport, type HeldOutReport } from '@surefoot/preference';
import type { EncodedPair } from './encode-pairs';
import type { MemberEntry } from './ensemble-file';
import { calibrationOf, type Calibration } from './ensemble-statistics';
import { scoreSequences } from './score-sequences';

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
  /** Of the held-out pairs. */
  heldOutScores: PairScores;
}

/**
 * Loads a member as users will, and scores the pairs it was fitted to and the held-out ones.
 *
 * @param out ensemble folder; the member's own is `path` inside it
 * @throws DomainError failed_precondition where its scores do not vary, diverged where one is not finite
 */
export async function evaluateMember(
  out: string,
  { path, seed }: { path: string; seed: number },
  pairs: EncodedPair[],
  heldOut: EncodedPair[],
): Promise<MemberEvaluation> {
  const member = await loadModel(join(out, path), { head: 'reward' });
  try {
    const scores = await scorePairs(member, pairs);
    const calibration = calibrationOf([...scores.chosen, ...scores.rejected].map((score) => [score]))[0] as Calibration;
    return {
      entry: { seed, path, sha256: member.digest as string, ...calibration },
      training: heldOutReport(scores.chosen, scores.rejected),
      heldOutScores: await scorePairs(member, heldOut),
    };
  } finally {
    disposeModel(member);
  }
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
export async function scorePairs(member: LanguageModel, pairs: EncodedPair[]): Promise<PairScores> {
  const sequences = [...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)];
  const rows = await scoreSequences({ members: [member], maxTokens: member.config.maxPositions }, sequences);
  const scores = rows.map(([score]) => score as number);
  return { chosen: scores.slice(0, pairs.length), rejected: scores.slice(pairs.length) };
}
