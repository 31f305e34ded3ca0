import { DomainError } from '@surefoot/errors';
import { inputName, readRows } from '@surefoot/files';
import {
  describe,
  invalid,
  parseFlag,
  parseId,
  parseMessages,
  parsePrompt,
  parseRow,
  parseText,
  type Prompt,
} from './prompt';
import type { InvalidRow } from './read-pairs';

/** A line of a prompts file. */
export interface PromptRow {
  id?: string;
  prompt: Prompt;
}

/** A rollout to score: prompt and response as text, or whole token ids. */
export interface RolloutRow {
  /** Unique in its file; the line number where the file names none. */
  id: string;
  prompt?: Prompt;
  response?: string;
  /** Prompt and response together, of the scorer's own tokenizer. */
  ids?: number[];
  /** True where the response was cut off, so that no end-of-text token follows it. */
  truncated: boolean;
}

/** A rollout of a file. */
export interface RolloutLine extends RolloutRow {
  /** `id` as the file writes it, text or a number: answers repeat it. */
  givenId: string | number;
}

/**
 * Prompts of a file of JSON lines or Parquet, in order: `{id?, prompt}`, or `{conversations}` or `{messages}` up to the answer
 * that they end with.
 *
 * @param onPrompt given each in turn; a DomainError that it throws gets file and line as one of the reader does
 * @throws DomainError invalid_argument with file, line and reason, or where there is none; not_found
 */
export async function readPrompts(path: string, onPrompt?: (prompt: Prompt) => void): Promise<PromptRow[]> {
  const prompts = await parseRows(path, (value) => {
    const row = parseRow(value);
    const prompt = parsePrompt(row['prompt'] ?? conversation(row));
    onPrompt?.(prompt);
    return { id: parseId(row['id']), prompt };
  });
  if (prompts.length === 0) throw invalid(`${inputName(path)}: no prompt found`);
  return prompts;
}

/**
 * Rollouts `{id?, prompt, response, truncated?}` or `{id?, ids}` of a file of JSON lines or Parquet, in order. `ids` beside
 * prompt and response are those of the response alone, as samplers write them, and are passed over.
 *
 * @param onInvalid told of each malformed row, which is then passed over; without it the first stops the reading
 * @throws DomainError as {@link readPrompts}; also where two lines have one id
 */
export async function readRollouts(path: string, onInvalid?: (row: InvalidRow) => void): Promise<RolloutLine[]> {
  const lineOf = new Map<string, number>();
  const parse = (value: unknown, line: number) => {
    const rollout = parseRollout(value, line);
    const earlier = lineOf.get(rollout.id);
    if (earlier !== undefined) throw invalid(`id ${rollout.id} is that of line ${earlier} as well`);
    lineOf.set(rollout.id, line);
    return rollout;
  };
  const rollouts = await parseRows(path, parse, onInvalid);
  if (rollouts.length === 0) throw invalid(`${inputName(path)}: no rollout found`);
  return rollouts;
}

/** The messages of a row without the assistant's last. */
function conversation(row: Record<string, unknown>): unknown {
  const list = row['conversations'] ?? row['messages'];
  if (!Array.isArray(list) || list.length === 0) return list;
  const messages = parseMessages(list, row['conversations'] ? 'conversations' : 'messages');
  return messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
}

function parseRollout(value: unknown, line: number): RolloutLine {
  const row = parseRow(value);
  const id = parseId(row['id']) ?? String(line);
  const givenId = typeof row['id'] === 'number' ? row['id'] : id;
  const shared = { id, givenId, truncated: parseFlag(row['truncated'], 'truncated') };
  const has = (name: string) => row[name] !== undefined && row[name] !== null;
  if (has('ids') && has('response') && !has('prompt'))
    throw invalid('needs ids of a whole rollout, or prompt and response: it has ids and response');
  if (has('ids') && !has('response')) return { ...shared, ids: parseIds(row['ids']) };
  return { ...shared, prompt: parsePrompt(row['prompt']), response: parseText(row['response'], 'response') };
}

function parseIds(value: unknown): number[] {
  if (!Array.isArray(value)) throw invalid(`ids is ${describe(value)}, not a list of token ids`);
  if (value.length === 0) throw invalid('ids is empty');
  const wrong = value.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (wrong >= 0) throw invalid(`ids[${wrong}] is no token id (a whole number from 0)`);
  return value as number[];
}

async function parseRows<Row>(
  path: string,
  parse: (value: unknown, line: number) => Row,
  onInvalid?: (row: InvalidRow) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const { number, place, value, problem } of readRows(path)) {
    try {
      if (problem !== undefined) throw invalid(problem);
      rows.push(parse(value, number));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (!onInvalid)
        throw new DomainError(error.kind, `${inputName(path)} ${place}: ${error.message}`, { cause: error });
      onInvalid({ file: inputName(path), line: number, reason: error.message });
    }
  }
  return rows;
}
