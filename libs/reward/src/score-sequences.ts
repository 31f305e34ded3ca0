import { DomainError } from '@surefoot/errors';
import { packSequences, tokensThatFit } from '@surefoot/language-model';
import type { RewardEnsemble } from './ensemble';
import { lengthBuckets } from './length-buckets';

/**
 * Raw scores of token sequences by every member, read at each sequence's last token.
 *
 * Sequences of similar length go through the members together; on wasm a sequence gets the same bits alone and in any company.
 *
 * @param sequences [N] prompt and response together, 1..maxTokens ids each
 * @param options.tokenBudget padded tokens of one forward pass at most, default 8192; fewer where memory is short
 * @returns [N][K], K the members that are loaded, in the order of `sequences`; neither centred nor scaled, and not checked for
 *   being finite
 * @throws DomainError invalid_argument naming the sequence that is empty, too long, or holds an unknown token;
 *   resource_exhausted, before anything is computed, where the longest does not fit in memory
 */
export async function scoreSequences(
  { members, maxTokens }: Pick<RewardEnsemble, 'members' | 'maxTokens'>,
  sequences: Int32Array[],
  { tokenBudget = 8192 }: { tokenBudget?: number } = {},
): Promise<Float32Array[]> {
  const wrong = sequences.findIndex(({ length }) => length === 0 || length > maxTokens);
  if (wrong >= 0)
    throw new DomainError(
      'invalid_argument',
      `sequence ${wrong} has ${sequences[wrong]?.length} tokens; the reward models take 1 to ${maxTokens}`,
    );
  const scores = sequences.map(() => new Float32Array(members.count));
  const lengths = sequences.map(({ length }) => length);
  const plan = {
    longest: lengths.reduce((a, b) => Math.max(a, b), 1),
    limit: tokenBudget,
    purpose: 'scoring',
  } as const;
  const budget = Math.min(...members.configs.map((config) => tokensThatFit(config, plan)));
  for (const bucket of lengthBuckets(lengths, budget)) {
    const scored = members.scoreBatch(packSequences(bucket.map((i) => sequences[i] as Int32Array)));
    try {
      const values = await scored.data();
      for (const [row, sequence] of bucket.entries())
        scores[sequence]!.set(values.subarray(row * members.count, (row + 1) * members.count));
    } finally {
      scored.dispose();
    }
  }
  return scores;
}
