import { basename } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { inputName, readRows } from '@surefoot/files';
import { parsePair } from '../preference-pair';
import { describe, invalid, parseFlag, parseId, parsePrompt, parseRow, parseText, type Prompt } from '../prompt';
import type { InvalidRow } from '../read-pairs';

/** One of the answers of an item. */
export interface BenchmarkAnswer {
  text: string;
  /** The answer was cut off, so that no end-of-text token follows it. */
  truncated: boolean;
}

/** A prompt with answers of which some are right. */
export interface BenchmarkItem {
  /** File and row, for messages; unique. */
  place: string;
  /** As the file writes it; the number of the row where it names none. */
  id: string | number;
  subset: string;
  /** 1: one right answer and one wrong; 2: lists of both (RewardBench 2). */
  version: 1 | 2;
  prompt: Prompt;
  /** At least one. */
  chosen: BenchmarkAnswer[];
  /** At least one. */
  rejected: BenchmarkAnswer[];
}

/**
 * Items of RewardBench, or of files like it, in order: JSON lines, gzip or not, or Parquet. A row is a preference pair with a
 * column `subset`, or, where `chosen` is a list of texts, right and wrong answers in the layout of RewardBench 2. Rows without
 * `subset` are of the subset that their file is named after (`shp.jsonl`, `shp-00000-of-00001.parquet`: shp).
 *
 * @param onInvalid told of each malformed row, which is then passed over; without it the first stops the reading
 * @throws DomainError invalid_argument with file, row and reason, or where a file has no item or is named twice; not_found
 */
export async function readBenchmark(paths: string[], onInvalid?: (row: InvalidRow) => void): Promise<BenchmarkItem[]> {
  const twice = paths.find((path, i) => paths.indexOf(path) < i);
  if (twice !== undefined) throw invalid(`${inputName(twice)} is named twice: its rows would count twice`);
  const items: BenchmarkItem[] = [];
  for (const path of paths) {
    const [name, before] = [inputName(path), items.length];
    for await (const { number, place, value, problem } of readRows(path)) {
      try {
        if (problem !== undefined) throw invalid(problem);
        items.push({ place: `${name} ${place}`, ...parseItem(value, number, subsetOfFile(path)) });
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        if (!onInvalid) throw new DomainError(error.kind, `${name} ${place}: ${error.message}`, { cause: error });
        onInvalid({ file: name, line: number, reason: error.message });
      }
    }
    if (items.length === before) throw invalid(`${name}: no item of a benchmark found`);
  }
  return items;
}

function parseItem(value: unknown, number: number, fallback: string): Omit<BenchmarkItem, 'place'> {
  const row = parseRow(value);
  const { id, subset } = row;
  const shared = {
    id: typeof id === 'number' ? Number(parseId(id)) : (parseId(id) ?? number),
    subset: subset === undefined || subset === null ? fallback : parseText(subset, 'subset'),
  };
  if (Array.isArray(row['chosen']) && row['chosen'].every((text) => typeof text === 'string'))
    return {
      ...shared,
      version: 2,
      prompt: parsePrompt(row['prompt']),
      chosen: parseAnswers(row, 'chosen'),
      rejected: parseAnswers(row, 'rejected'),
    };
  const { prompt, chosen, rejected, chosenTruncated, rejectedTruncated } = parsePair(row);
  return {
    ...shared,
    version: 1,
    prompt,
    chosen: [{ text: chosen, truncated: chosenTruncated }],
    rejected: [{ text: rejected, truncated: rejectedTruncated }],
  };
}

function parseAnswers(row: Record<string, unknown>, field: 'chosen' | 'rejected'): BenchmarkAnswer[] {
  const list = row[field];
  if (!Array.isArray(list)) throw invalid(`${field} is ${describe(list)}, not a list of texts`);
  if (list.length === 0) throw invalid(`${field} is an empty list`);
  const truncated = parseFlag(row[`${field}_truncated`], `${field}_truncated`);
  return list.map((text, i) => ({ text: parseText(text, `${field}[${i}]`), truncated }));
}

function subsetOfFile(path: string): string {
  const name = path === '-' ? 'stdin' : basename(path).replace(/(\.(jsonl?|gz|parquet))+$/i, '');
  return name.replace(/-\d{5}-of-\d{5}(-[0-9a-f]+)?$/, '');
}
