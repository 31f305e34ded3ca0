import { DomainError } from '@surefoot/errors';
import type { ChatMessage } from './chat-template';
import type { Tokenizer } from './tokenizer';

/** What a policy is asked: a text, or a conversation that the tokenizer's chat template renders. */
export type Prompt = string | ChatMessage[];

/**
 * The ids of a prompt: the text after the tokens that the tokenizer puts before one, or the conversation with the opening of
 * the answer. An eos token that the tokenizer puts after a text is left out: the response goes on from here.
 */
export function encodePrompt(tokenizer: Tokenizer, prompt: Prompt): Int32Array {
  if (typeof prompt !== 'string') return tokenizer.encodeChat(prompt, { addGenerationPrompt: true });
  const ids = tokenizer.encode(prompt);
  const endsForNow = ids.length > 1 && ids.at(-1) === tokenizer.eosTokenId;
  return endsForNow ? ids.slice(0, -1) : ids;
}

/**
 * The ids of a prompt and a response as a policy would have met and produced them.
 *
 * @param rollout.truncated the response ended for length, so it has no eos token; default false
 * @param options.maxTokens P + T at most; a longer prompt loses tokens at its start, after its bos token where it has one
 * @param options.cutResponse a response that is longer alone is read as far as it fits, as one that ended for length; default
 *   false: it is an error
 * @returns `promptIds` [P], `responseIds` [T] with the eos token unless truncated
 * @throws DomainError invalid_argument if the response is empty or alone longer than maxTokens; failed_precondition if the
 *   tokenizer has no eos token or no chat template where one is needed
 */
export function encodeRollout(
  tokenizer: Tokenizer,
  { prompt, response, truncated = false }: { prompt: Prompt; response: string; truncated?: boolean },
  { maxTokens, cutResponse = false }: { maxTokens: number; cutResponse?: boolean },
): { promptIds: Int32Array; responseIds: Int32Array } {
  const words = tokenizer.encode(response, { addSpecialTokens: false });
  if (words.length === 0 && truncated) throw new DomainError('invalid_argument', 'the response is empty');
  if (!truncated && tokenizer.eosTokenId === undefined)
    throw new DomainError('failed_precondition', 'the tokenizer has no eos token to end a response with');
  const wholeResponse = truncated ? words : Int32Array.of(...words, tokenizer.eosTokenId!);
  const responseIds = cutResponse ? wholeResponse.slice(0, maxTokens) : wholeResponse;
  const room = maxTokens - responseIds.length;
  if (room < 0) {
    const length = `${responseIds.length} tokens, at most ${maxTokens} fit`;
    throw new DomainError('invalid_argument', `the response has ${length}: shorten it`);
  }
  return { promptIds: lastTokens(encodePrompt(tokenizer, prompt), room, tokenizer.bosTokenId), responseIds };
}

/** The last tokens of a prompt, as many as there is room for; a bos token at its start stays the first. */
export function lastTokens(ids: Int32Array, room: number, bosTokenId: number | undefined): Int32Array {
  if (ids.length <= room) return ids;
  if (room === 0 || bosTokenId === undefined || ids[0] !== bosTokenId) return ids.slice(ids.length - room);
  const kept = ids.slice(ids.length - room);
  kept[0] = bosTokenId;
  return kept;
}
