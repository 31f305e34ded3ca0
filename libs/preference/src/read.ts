import { DomainError } from '@surefoot/errors';
import { readJsonLines } from '@surefoot/files';
import { parsePair, type PreferencePair } from './preference-pair';
import { describe, invalid, parseFlag, parseId, parsePrompt, parseRow, parseText, type Prompt } from './prompt';

/** A row that was passed over, and why. */
export interface InvalidRow {
  file: string;
  /** Counted from 1. */
  line: number;
  reason: string;
}

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
 * Preference pairs of JSON-lines files, in order; gzip is recognised, `-` is stdin.
 *
 * @param options.skipInvalid true to pass over malformed rows and list them, instead of stopping at the first
 * @throws DomainError invalid_argument with file, line and reason, or where no pair is left; not_found
 */
export async function readPairs(
  paths: string[],
  { skipInvalid = false }: { skipInvalid?: boolean } = {},
): Promise<{ pairs: PreferencePair[]; invalid: InvalidRow[] }> {
  const invalidRows: InvalidRow[] = [];
  const pairs: PreferencePair[] = [];
  for (const path of paths)
    pairs.push(...(await readRows(path, parsePair, skipInvalid ? (row) => invalidRows.push(row) : undefined)));
  if (pairs.length === 0)
    throw invalid(`${paths.join(', ')}: no preference pair found (${invalidRows.length} malformed rows)`);
  return { pairs, invalid: invalidRows };
}

/** Prompts `{id?, prompt}` of a JSON-lines file, in order. @throws DomainError as {@link readPairs} */
export async function readPrompts(path: string): Promise<PromptRow[]> {
  const prompts = await readRows(path, (value) => {
    const row = parseRow(value);
    return { id: parseId(row['id']), prompt: parsePrompt(row['prompt']) };
  });
  if (prompts.length === 0) throw invalid(`${path}: no prompt found`);
  return prompts;
}

/**
 * Rollouts `{id?, prompt, response, truncated?}` or `{id?, ids}` of a JSON-lines file, in order.
 *
 * @param onInvalid told of each malformed row, which is then passed over; without it the first stops the reading
 * @throws DomainError as {@link readPairs}; also where two lines have one id
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
  const rollouts = await readRows(path, parse, onInvalid);
  if (rollouts.length === 0) throw invalid(`${path}: no rollout found`);
  return rollouts;
}

function parseRollout(value: unknown, line: number): RolloutLine {
  const row = parseRow(value);
  const id = parseId(row['id']) ?? String(line);
  const givenId = typeof row['id'] === 'number' ? row['id'] : id;
  const shared = { id, givenId, truncated: parseFlag(row['truncated'], 'truncated') };
  if (row['ids'] !== undefined && row['ids'] !== null) return { ...shared, ids: parseIds(row['ids']) };
  return { ...shared, prompt: parsePrompt(row['prompt']), response: parseText(row['response'], 'response') };
}

function parseIds(value: unknown): number[] {
  if (!Array.isArray(value)) throw invalid(`ids is ${describe(value)}, not a list of token ids`);
  if (value.length === 0) throw invalid('ids is empty');
  const wrong = value.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (wrong >= 0) throw invalid(`ids[${wrong}] is no token id (a whole number from 0)`);
  return value as number[];
}

async function readRows<Row>(
  path: string,
  parse: (value: unknown, line: number) => Row,
  onInvalid?: (row: InvalidRow) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const { line, value, problem } of readJsonLines(path)) {
    try {
      if (problem !== undefined) throw invalid(problem);
      rows.push(parse(value, line));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (!onInvalid) throw new DomainError(error.kind, `${path} line ${line}: ${error.message}`, { cause: error });
      onInvalid({ file: path, line, reason: error.message });
    }
  }
  return rows;
}
