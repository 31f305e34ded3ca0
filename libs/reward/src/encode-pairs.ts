import { DomainError } from '@surefoot/errors';
import { encodeRollout, type Tokenizer } from '@surefoot/language-model';
import type { PreferencePair, RolloutRow } from '@surefoot/preference';

/** A pair as whole token sequences, prompt and response together. */
export interface EncodedPair {
  chosen: Int32Array;
  rejected: Int32Array;
  /** By how much the chosen score shall exceed the rejected one, >= 0. */
  margin: number;
}

/** Pairs as token sequences, and those that cannot be. */
export interface EncodedPairs {
  encoded: EncodedPair[];
  /** Index into the pairs given, and why it was passed over. */
  skipped: { index: number; reason: string }[];
}

/**
 * Pairs as token sequences. Prompts are cut from the left to fit; a pair with a response that does not fit is passed over,
 * because half a response is not what was preferred, and so is one with a word that the tokenizer cannot express.
 *
 * @param maxTokens prompt and response together
 */
export function encodePairs(tokenizer: Tokenizer, pairs: PreferencePair[], maxTokens: number): EncodedPairs {
  const result: EncodedPairs = { encoded: [], skipped: [] };
  pairs.forEach(({ prompt, chosen, rejected, margin, chosenTruncated, rejectedTruncated }, index) => {
    const encode = (response: string, truncated: boolean) =>
      encodeSequence(tokenizer, { prompt, response, truncated }, maxTokens);
    try {
      const sequences = { chosen: encode(chosen, chosenTruncated), rejected: encode(rejected, rejectedTruncated) };
      result.encoded.push({ ...sequences, margin });
    } catch (error) {
      if (!(error instanceof DomainError) || error.kind !== 'invalid_argument') throw error;
      result.skipped.push({ index, reason: error.message });
    }
  });
  return result;
}

/**
 * A rollout as one token sequence: its ids as they stand, or prompt and response encoded.
 *
 * @param maxTokens prompt and response together; a longer prompt is cut from the left
 * @param options.cutResponse a longer response is read as far as it fits; default false
 * @throws DomainError invalid_argument where the response does not fit, or neither ids nor both texts are there
 */
export function encodeSequence(
  tokenizer: Tokenizer,
  { ids, prompt, response, truncated }: Omit<RolloutRow, 'id'>,
  maxTokens: number,
  options: { cutResponse?: boolean } = {},
): Int32Array {
  if (ids) return Int32Array.from(ids);
  if (prompt === undefined || response === undefined)
    throw new DomainError('invalid_argument', 'a rollout needs prompt and response, or ids');
  const { promptIds, responseIds } = encodeRollout(
    tokenizer,
    { prompt, response, truncated },
    { ...options, maxTokens },
  );
  const sequence = new Int32Array(promptIds.length + responseIds.length);
  sequence.set(promptIds);
  sequence.set(responseIds, promptIds.length);
  return sequence;
}
