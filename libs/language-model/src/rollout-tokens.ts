import { DomainError } from '@surefoot/errors';
import type { ChatMessage } from './chat-template';
import type { Tokenizer } from './tokenizer';

/** What a policy is asked: a text, or a conversation that the tokenizer's chat template renders. */
export type Prompt = string | ChatMessage[];

/** The ids of a prompt: the text with the special tokens around it, or the conversation with the opening of the answer. */
export function encodePrompt(tokenizer: Tokenizer, prompt: Prompt): Int32Array {
  return typeof prompt === 'string'
    ? tokenizer.encode(prompt)
    : tokenizer.encodeChat(prompt, { addGenerationPrompt: true });
}

/**
 * The ids of a prompt and a response as a policy would have met and produced them.
 *
 * @param rollout.truncated the response ended for length, so it has no eos token; default false
 * @param options.maxTokens P + T at most; a longer prompt loses tokens at its start, a longer response is an error
 * @returns `promptIds` [P], `responseIds` [T] with the eos token unless truncated
 * @throws DomainError invalid_argument if the response is empty or alone longer than maxTokens; failed_precondition if the
 *   tokenizer has no eos token or no chat template where one is needed
 */
export function encodeRollout(
  tokenizer: Tokenizer,
  { prompt, response, truncated = false }: { prompt: Prompt; response: string; truncated?: boolean },
  { maxTokens }: { maxTokens: number },
): { promptIds: Int32Array; responseIds: Int32Array } {
  const words = tokenizer.encode(response, { addSpecialTokens: false });
  if (words.length === 0 && truncated) throw new DomainError('invalid_argument', 'the response is empty');
  if (!truncated && tokenizer.eosTokenId === undefined)
    throw new DomainError('failed_precondition', 'the tokenizer has no eos token to end a response with');
  const responseIds = truncated ? words : Int32Array.of(...words, tokenizer.eosTokenId!);
  const room = maxTokens - responseIds.length;
  if (room < 0) {
    const length = `${responseIds.length} tokens, at most ${maxTokens} fit`;
    throw new DomainError('invalid_argument', `the response has ${length}: shorten it`);
  }
  const promptIds = encodePrompt(tokenizer, prompt);
  return { promptIds: promptIds.slice(Math.max(0, promptIds.length - room)), responseIds };
}
