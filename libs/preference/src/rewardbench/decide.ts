import { tiesSubset } from './sections';

/** Which two answers decide an item, and how. */
export interface Decision {
  /** Indices of the right and of the wrong answer that decide. */
  chosen: number;
  rejected: number;
  /** Score of the right one less score of the wrong one: above 0 the item is right, at 0 it is a tie, which counts as wrong. */
  margin: number;
}

/**
 * Decides an item: the best of the right answers against the best of the wrong ones. In the subset `Ties` of RewardBench 2
 * every right answer must beat every wrong one, so the worst of the right ones stands for them.
 *
 * @param scores [R] of the answers, right ones first
 * @param correct how many of them are right, 1..R-1
 */
export function decide(scores: readonly number[], correct: number, subset: string): Decision {
  const least = subset === tiesSubset;
  let chosen = 0;
  for (let i = 1; i < correct; i += 1)
    if (least ? scores[i]! < scores[chosen]! : scores[i]! > scores[chosen]!) chosen = i;
  let rejected = correct;
  for (let i = correct + 1; i < scores.length; i += 1) if (scores[i]! > scores[rejected]!) rejected = i;
  return { chosen, rejected, margin: scores[chosen]! - scores[rejected]! };
}
