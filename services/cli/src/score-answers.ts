import { DomainError } from '@surefoot/errors';
import type { BenchmarkItem, RolloutRow } from '@surefoot/preference';
import type { Context } from './command';
import { inBatches } from './lines';
import type { Attempt, Scorer } from './scorer';

/** An item of a benchmark with the raw scores [R][K] of its answers, right ones first. */
export interface ScoredAnswers {
  item: BenchmarkItem;
  scores: ArrayLike<number>[];
}

/**
 * Scores every answer of every item.
 *
 * @param onUnfit told of each item with an answer that cannot be scored, which is then left out
 * @throws DomainError naming the row and the answer where there is no `onUnfit`
 */
export async function scoreAnswers(
  scorer: Scorer,
  items: readonly BenchmarkItem[],
  context: Context,
  onUnfit?: (reason: string) => void,
): Promise<ScoredAnswers[]> {
  const rollouts = items.flatMap(rolloutsOf);
  const attempts: Attempt[] = [];
  const task = { label: 'rewardbench', unit: 'answers', size: scorer.batchSize };
  await inBatches(rollouts, context, task, async (batch) => {
    const found = await scorer.tryScore(batch.map(({ rollout }) => rollout));
    for (const [i, attempt] of found.entries()) {
      if (attempt instanceof DomainError && !onUnfit) throw at(batch[i]!.place, attempt);
      attempts.push(attempt);
    }
  });
  let next = 0;
  return items.flatMap((item) => {
    const own = attempts.slice(next, (next += item.chosen.length + item.rejected.length));
    const problem = own.find((attempt) => attempt instanceof DomainError);
    if (problem) onUnfit?.(at(item.place, problem).message);
    return problem ? [] : [{ item, scores: own as ArrayLike<number>[] }];
  });
}

function at(place: string, { kind, message }: DomainError): DomainError {
  return new DomainError(kind, `${place}: ${message}`);
}

function rolloutsOf(
  { place, prompt, chosen, rejected }: BenchmarkItem,
  item: number,
): { place: string; rollout: RolloutRow }[] {
  const ofKind = (kind: string, answers: BenchmarkItem['chosen']) =>
    answers.map(({ text, truncated }, i) => ({
      place,
      // Short, whatever the file's path: services take 128 characters.
      rollout: { id: `item-${item + 1}-${kind}-${i + 1}`, prompt, response: text, truncated },
    }));
  return [...ofKind('chosen', chosen), ...ofKind('rejected', rejected)];
}
