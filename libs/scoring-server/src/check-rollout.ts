import { DomainError } from '@surefoot/errors';
import { lastTokens, type Prompt } from '@surefoot/language-model';
import type { Rollout, TokenIds } from '@surefoot/proto/surefoot/common/v1/common';

/** What decides whether a rollout can be scored. */
export interface ModelBounds {
  tokenizerDigest: string;
  /** A prompt that begins with it keeps it where it is cut; absent where the tokenizer has none. */
  bosTokenId?: number;
  /** Token ids are in [0, vocabularySize). */
  vocabularySize: number;
  /** Prompt and response together. */
  maxTokens: number;
}

/** A rollout that has still to be tokenized. */
export interface RolloutText {
  prompt: Prompt;
  response: string;
  truncated: boolean;
  /** Whether a response that does not fit is read as far as it fits, rather than refused; default false. */
  cutResponse?: boolean;
}

const maxId = 128;
const maxCharacters = 65_536;
const maxMessages = 256;
const maxRole = 32;

/**
 * What a rollout gives to score: its token ids where they are of our tokenizer and in our vocabulary, else its text.
 *
 * @returns `sequence`, prompt and response together, the prompt cut from the left to fit, after its bos token; or `text`
 * @throws DomainError invalid_argument saying which field breaks which limit
 */
export function checkRollout(rollout: Rollout, bounds: ModelBounds): { sequence: Int32Array } | { text: RolloutText } {
  const { id, response, truncated, tokenIds } = rollout;
  if (id === '' || id.length > maxId) refuse(`the id must have 1 to ${maxId} characters`);
  // The text is not used then: byte-level ids can stand for what no text can say. A policy with the same tokenizer and more
  // rows of padding than ours may sample one of those, which are no text and which we cannot read.
  if (tokenIds?.tokenizerDigest === bounds.tokenizerDigest && (isInVocabulary(tokenIds, bounds) || !rollout.prompt))
    return { sequence: checkIds(tokenIds, bounds) };
  const prompt = checkPrompt(rollout.prompt);
  checkText('the response', response);
  // Only a policy can say nothing on purpose, by its end-of-sequence token, and it sends token ids.
  if (response === '' && (truncated || !tokenIds)) refuse('the response is empty');
  // What fits as the policy wrote it may be longer in our tokens: no policy can know, and a run must not end for it.
  const cutResponse = tokenIds !== undefined && tokenIds.responseIds.length <= bounds.maxTokens;
  return { text: { prompt, response, truncated, cutResponse } };
}

function checkPrompt(prompt: Rollout['prompt']): Prompt {
  if (!prompt) return refuse('there is no prompt: set text or conversation');
  if (prompt.$case === 'text') {
    checkText('the prompt', prompt.value);
    return prompt.value;
  }
  const { messages } = prompt.value;
  if (messages.length === 0 || messages.length > maxMessages)
    refuse(`the conversation has ${messages.length} messages; 1 to ${maxMessages} are allowed`);
  messages.forEach(({ role, content }, i) => {
    if (role === '' || role.length > maxRole) refuse(`the role of message ${i} must have 1 to ${maxRole} characters`);
    checkText(`the role of message ${i}`, role);
    checkText(`the content of message ${i}`, content);
  });
  return messages;
}

function checkText(what: string, text: string): void {
  // Characters beyond U+FFFF are two units of `length`, so only the middle range needs counting.
  if (text.length > maxCharacters && (text.length > 2 * maxCharacters || [...text].length > maxCharacters))
    refuse(`${what} has more than ${maxCharacters} characters`);
  if (text.includes('\uFFFD')) refuse(`${what} holds U+FFFD, the mark of text that was decoded wrongly`);
}

function isInVocabulary({ promptIds, responseIds }: TokenIds, { vocabularySize }: ModelBounds): boolean {
  return [promptIds, responseIds].every((ids) => ids.every((id) => id < vocabularySize));
}

function checkIds({ promptIds, responseIds }: TokenIds, bounds: ModelBounds): Int32Array {
  const { vocabularySize, maxTokens, bosTokenId } = bounds;
  if (responseIds.length === 0) refuse('token_ids.response_ids is empty');
  if (responseIds.length > maxTokens)
    refuse(`the response has ${responseIds.length} tokens; the model takes ${maxTokens}`);
  for (const [name, ids] of [
    ['prompt_ids', promptIds],
    ['response_ids', responseIds],
  ] as const) {
    const wrong = ids.findIndex((id) => id >= vocabularySize);
    if (wrong >= 0) refuse(`token_ids.${name}[${wrong}] is ${ids[wrong]}; the vocabulary has ${vocabularySize} ids`);
  }
  const kept = lastTokens(Int32Array.from(promptIds), maxTokens - responseIds.length, bosTokenId);
  const sequence = new Int32Array(kept.length + responseIds.length);
  sequence.set(kept);
  sequence.set(responseIds, kept.length);
  return sequence;
}

function refuse(message: string): never {
  throw new DomainError('invalid_argument', message);
}
