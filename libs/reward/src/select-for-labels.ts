import { DomainError } from '@surefoot/errors';
import { groupBy } from '@surefoot/risk';
import { ensembleStatistics } from './ensemble-statistics';

/** A response that was scored. */
export interface ScoredResponse {
  /** Equal for responses to one prompt. */
  prompt: string;
  /** [K] calibrated scores, K >= 2. */
  scores: readonly number[];
}

/** A response by its place in what was given, with how far the members disagree on it. */
export interface SelectedResponse {
  index: number;
  /** Unbiased standard deviation of the members' scores. */
  disagreement: number;
}

/** Two responses to one prompt, likewise. */
export interface SelectedPair {
  indices: [number, number];
  /** Unbiased standard deviation, over the members, of the difference of their scores. */
  disagreement: number;
}

/**
 * The responses on which the members disagree most, most first.
 *
 * @throws DomainError failed_precondition for one member
 */
export function selectResponses(responses: readonly ScoredResponse[], top: number): SelectedResponse[] {
  return mostDisagreed(
    responses.map(({ scores }, index) => ({ index, disagreement: spread(scores) })),
    top,
  );
}

/**
 * The pairs of responses to one prompt on whose order the members disagree most, most first, and one for each prompt: what a
 * comparison of the two would settle. What a member adds to all responses to a prompt drops out of the difference, as it does out
 * of the Bradley–Terry loss.
 *
 * @throws DomainError failed_precondition for one member; invalid_argument where no prompt has two responses
 */
export function selectPairs(responses: readonly ScoredResponse[], top: number): SelectedPair[] {
  const ofPrompt = groupBy(responses.keys(), (index) => responses[index]!.prompt);
  const best = [...ofPrompt.values()].flatMap((indices) => widestPair(responses, indices) ?? []);
  if (best.length === 0)
    throw new DomainError('invalid_argument', 'no prompt has two responses: there is no pair to compare');
  return mostDisagreed(best, top);
}

function widestPair(responses: readonly ScoredResponse[], indices: readonly number[]): SelectedPair | undefined {
  let widest: SelectedPair | undefined;
  for (const [i, first] of indices.entries())
    for (const second of indices.slice(i + 1)) {
      const other = responses[second]!.scores;
      const disagreement = spread(responses[first]!.scores.map((score, k) => score - other[k]!));
      if (!widest || disagreement > widest.disagreement) widest = { indices: [first, second], disagreement };
    }
  return widest;
}

function mostDisagreed<Selected extends { disagreement: number }>(selected: Selected[], top: number): Selected[] {
  return selected.toSorted((a, b) => b.disagreement - a.disagreement).slice(0, top);
}

function spread(scores: readonly number[]): number {
  const { variance } = ensembleStatistics(scores);
  if (variance === null)
    throw new DomainError(
      'failed_precondition',
      'one reward model has nobody to disagree with: fit at least two members',
    );
  return Math.sqrt(variance);
}
