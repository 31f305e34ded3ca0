import { DomainError } from '@surefoot/errors';

/** One turn of a conversation. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, or what the chat template knows. */
  role: string;
  content: string;
}

/** What a response answers: text as it stands, or a conversation that the chat template renders. */
export type Prompt = string | ChatMessage[];

/** A row of a file as an object. @throws DomainError invalid_argument */
export function parseRow(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw invalid('the row is not a JSON object');
  return value;
}

/**
 * A prompt: text that is not empty, or at least one message.
 *
 * @throws DomainError invalid_argument naming the field
 */
export function parsePrompt(value: unknown, field = 'prompt'): Prompt {
  if (Array.isArray(value)) return parseMessages(value, field);
  return parseText(value, field);
}

/** A list of messages, at least one. @throws DomainError invalid_argument naming the field and the message */
export function parseMessages(value: unknown[], field: string): ChatMessage[] {
  if (value.length === 0) throw invalid(`${field} is an empty list of messages`);
  return value.map((message, index) => parseMessage(message, `${field}[${index}]`));
}

const speakers: Record<string, string> = { human: 'user', gpt: 'assistant' };

/**
 * A message `{role, content}`, or `{from, value}` whose `human` and `gpt` are the user and the assistant.
 *
 * @throws DomainError invalid_argument naming the message
 */
export function parseMessage(message: unknown, name: string): ChatMessage {
  if (!isObject(message)) throw invalid(`${name} is not a message {role, content}`);
  const isSpoken = message['role'] === undefined && message['from'] !== undefined;
  const [role, content] = isSpoken ? ['from', 'value'] : ['role', 'content'];
  const text = message[content!];
  if (typeof text !== 'string') throw invalid(`${name}.${content} is ${describe(text)}, not text`);
  const speaker = parseText(message[role!], `${name}.${role}`);
  return {
    role: isSpoken ? (speakers[speaker] ?? speaker) : speaker,
    content: wellFormed(text, `${name}.${content}`),
  };
}

/** Text with at least one character that is no white space. @throws DomainError invalid_argument naming the field */
export function parseText(value: unknown, field: string): string {
  if (typeof value !== 'string') throw invalid(`${field} is ${describe(value)}, not text`);
  if (value.trim() === '') throw invalid(`${field} is empty`);
  return wellFormed(value, field);
}

/** An optional id: text or a whole number; absent and null mean none. @throws DomainError invalid_argument */
export function parseId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (Number.isSafeInteger(value)) return String(value);
  return parseText(value, 'id');
}

/** An optional flag, false where absent or null. @throws DomainError invalid_argument naming the field */
export function parseFlag(value: unknown, field: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw invalid(`${field} is ${describe(value)}, not true or false`);
  return value;
}

/** How a value is called in an error message. */
export function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** The error of a malformed row, without file and line, which the reader adds. */
export function invalid(message: string): DomainError {
  return new DomainError('invalid_argument', message);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// A tokenizer would turn half a surrogate pair into U+FFFD without a word, so that two different texts become one.
function wellFormed(text: string, field: string): string {
  if (/\p{Surrogate}/u.test(text)) throw invalid(`${field} holds half a surrogate pair, which is no character`);
  return text;
}
