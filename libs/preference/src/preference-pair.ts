import {
  describe,
  invalid,
  isObject,
  parseFlag,
  parseId,
  parseMessage,
  parseMessages,
  parsePrompt,
  parseRow,
  parseText,
  type ChatMessage,
  type Prompt,
} from './prompt';

/** Two responses to one prompt, and which of them was preferred. */
export interface PreferencePair {
  id?: string;
  prompt: Prompt;
  chosen: string;
  rejected: string;
  /** By how much the chosen score shall exceed the rejected one, >= 0; 0 where the row has none. */
  margin: number;
  /** True where the response was cut off, so that no end-of-text token follows it. */
  chosenTruncated: boolean;
  rejectedTruncated: boolean;
}

/**
 * One row of a file of preference pairs: `{prompt, chosen, rejected}`, where the prompt is text or messages, and the
 * responses are text, or a message, or message lists that end with the assistant's message. Lists that hold the conversation
 * before it as well (the Hugging Face conversational form) must share that prefix, which then is the prompt. Optional `id`,
 * `margin`, `chosen_truncated`, `rejected_truncated`; other columns are ignored.
 *
 * @throws DomainError invalid_argument saying what is wrong with the row
 */
export function parsePair(value: unknown): PreferencePair {
  const row = parseRow(value);
  const isSpoken = Array.isArray(row['chosen']) || isObject(row['chosen']);
  const { prompt, chosen, rejected } = isSpoken ? fromMessages(row) : fromTexts(row);
  const pair = {
    id: parseId(row['id']),
    prompt,
    chosen,
    rejected,
    margin: parseMargin(row['margin']),
    chosenTruncated: parseFlag(row['chosen_truncated'], 'chosen_truncated'),
    rejectedTruncated: parseFlag(row['rejected_truncated'], 'rejected_truncated'),
  };
  if (chosen === rejected && pair.chosenTruncated === pair.rejectedTruncated)
    throw invalid('chosen and rejected are the same text');
  return pair;
}

interface Responses {
  prompt: Prompt;
  chosen: string;
  rejected: string;
}

function fromTexts(row: Record<string, unknown>): Responses {
  return {
    prompt: parsePrompt(row['prompt']),
    chosen: parseText(row['chosen'], 'chosen'),
    rejected: parseText(row['rejected'], 'rejected'),
  };
}

function fromMessages(row: Record<string, unknown>): Responses {
  const chosen = parseConversation(row['chosen'], 'chosen');
  const rejected = parseConversation(row['rejected'], 'rejected');
  if (!sameMessages(chosen.before, rejected.before))
    throw invalid('chosen and rejected differ before the last message, so they share no prompt');
  const responses = { chosen: chosen.response, rejected: rejected.response };
  if (chosen.before.length === 0) return { prompt: parsePrompt(row['prompt']), ...responses };
  // With a text column beside (often the first user turn alone) the lists are the fuller account.
  if (Array.isArray(row['prompt']) && !sameMessages(parseMessages(row['prompt'], 'prompt'), chosen.before))
    throw invalid('prompt differs from the messages before the last one of chosen and rejected');
  return { prompt: chosen.before, ...responses };
}

function parseConversation(value: unknown, field: string): { before: ChatMessage[]; response: string } {
  if (!Array.isArray(value) && !isObject(value))
    throw invalid(`${field} is ${describe(value)}, where the other response is a message list`);
  const messages = Array.isArray(value) ? parseMessages(value, field) : [parseMessage(value, field)];
  const last = messages.at(-1) as ChatMessage;
  if (last.role !== 'assistant') throw invalid(`the last message of ${field} has role ${last.role}, not assistant`);
  return { before: messages.slice(0, -1), response: parseText(last.content, `the last message of ${field}`) };
}

function sameMessages(a: ChatMessage[], b: ChatMessage[]): boolean {
  return a.length === b.length && a.every((message, i) => isSame(message, b[i] as ChatMessage));
}

function isSame(a: ChatMessage, b: ChatMessage): boolean {
  return a.role === b.role && a.content === b.content;
}

function parseMargin(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number') throw invalid(`margin is ${describe(value)}, not a number`);
  if (!Number.isFinite(value) || value < 0) throw invalid(`margin is ${value}; it must be finite and not negative`);
  return value;
}
