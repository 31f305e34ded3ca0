import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { PassThrough, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { DomainError } from '@surefoot/errors';
import { fileError } from './file-error';
import { parseJson } from './parse-json';
import { statReadable } from './readable';

/** One line of a JSON-lines file. */
export interface JsonLine {
  /** Counted from 1. */
  line: number;
  value: unknown;
  /** Set in place of `value` where the line is not JSON. */
  problem?: string;
}

/** Characters. A few kilobytes of gzip may hold a line without end. */
const longestLine = 64 * 2 ** 20;

/** Bytes that a string of the engine can hold, and of JSON four times the largest tokenizers of today. */
const largestText = 2 ** 29 - 24;
const largestJson = 128 * 2 ** 20;

/**
 * A UTF-8 text file, whole; `-` is stdin.
 *
 * @throws DomainError not_found, failed_precondition (no permission, no file); invalid_argument where it is no UTF-8, or too large
 */
export async function readText(path: string): Promise<string> {
  return readWhole(path, largestText);
}

async function readWhole(path: string, largest: number): Promise<string> {
  try {
    if (path !== '-') await refuseLarge(path, largest);
    return decode(path === '-' ? await buffer(process.stdin) : await readFile(path), path);
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

async function refuseLarge(path: string, largest: number): Promise<void> {
  const { size } = await statReadable(path);
  if (size > largest)
    throw new DomainError('invalid_argument', `${path} has ${size} bytes, at most ${largest} are read`);
}

/**
 * The names in a folder, sorted; none where it does not exist.
 *
 * @throws DomainError failed_precondition where it is a file, or may not be read
 */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'read', path);
  }
}

/** A JSON file, whole. @throws DomainError invalid_argument naming file and reason */
export async function readJson(path: string): Promise<unknown> {
  const text = await readWhole(path, largestJson);
  try {
    return parseJson(text);
  } catch (error) {
    throw new DomainError('invalid_argument', `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The lines of a JSON-lines file, one at a time; gzip is recognised by its first bytes, `-` is stdin, empty lines are passed
 * over. A line that is not JSON comes with `problem`, so that the caller decides whether to stop.
 *
 * @throws DomainError not_found, failed_precondition; invalid_argument where the file is no UTF-8 or its gzip is damaged
 */
export async function* readJsonLines(path: string): AsyncGenerator<JsonLine> {
  let number = 0;
  for await (const text of lines(path)) {
    number += 1;
    if (text.trim() === '') continue;
    try {
      yield { line: number, value: parseJson(text) };
    } catch (error) {
      yield { line: number, value: undefined, problem: `not JSON: ${(error as Error).message}` };
    }
  }
}

async function* lines(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: string[] = [];
  let length = 0;
  try {
    for await (const chunk of bytes(path)) {
      const [rest = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n');
      parts.push(rest);
      length += rest.length;
      for (const next of more) {
        yield withoutReturn(parts.join(''));
        [parts, length] = [[next], next.length];
      }
      if (length > longestLine)
        throw new DomainError('invalid_argument', `${path}: a line is longer than ${longestLine / 2 ** 20} MiB`);
    }
    parts.push(decoder.decode());
  } catch (error) {
    throw readError(error, path);
  }
  const last = parts.join('');
  if (last !== '') yield last;
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

async function* bytes(path: string): AsyncGenerator<Buffer> {
  if (path !== '-') await statReadable(path);
  const source: Readable = path === '-' ? process.stdin : createReadStream(path);
  const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await iterator.next();
  if (first.done) return;
  const rest = async function* () {
    yield first.value;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  };
  if (Buffer.from(first.value.subarray(0, 4)).toString('latin1') === 'PAR1')
    throw new DomainError('invalid_argument', `${path} is Parquet, which is read from a file that has a name`);
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return yield* rest();
  const out = new PassThrough();
  const unpacking = pipeline(rest(), createGunzip(), out);
  unpacking.catch((error: Error) => out.destroy(error));
  for await (const chunk of out) yield chunk as Buffer;
  await unpacking;
}

function decode(data: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data);
  } catch (error) {
    throw readError(error, path);
  }
}

function readError(error: unknown, path: string): unknown {
  const code = String((error as NodeJS.ErrnoException).code ?? '');
  if (code.startsWith('Z_')) return new DomainError('invalid_argument', `${path}: damaged gzip data`, { cause: error });
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
    return new DomainError('invalid_argument', `${path} is not UTF-8 text`, { cause: error });
  return fileError(error, 'read', path);
}
