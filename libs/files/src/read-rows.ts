import { open } from 'node:fs/promises';
import { fileError } from './file-error';
import { readParquet } from './parquet';
import { readJsonLines } from './read';
import { statReadable } from './readable';

/** One row of a file of rows. */
export interface Row {
  /** Counted from 1: the line of JSON lines, the row of Parquet. */
  number: number;
  /** `line 3` or `row 3`. */
  place: string;
  value: unknown;
  /** Set in place of `value` where a line is not JSON. */
  problem?: string;
}

/**
 * The rows of a JSON-lines file, plain or gzip, or of a Parquet file, one at a time; which of them it is, its first bytes say.
 * `-` is stdin, for JSON lines.
 *
 * @throws DomainError as `readJsonLines`; invalid_argument where a Parquet file is damaged or would take too much to decode
 */
export async function* readRows(path: string): AsyncGenerator<Row> {
  let number = 0;
  if (await isParquet(path)) {
    for await (const value of readParquet(path)) {
      number += 1;
      yield { number, place: `row ${number}`, value };
    }
  } else
    for await (const { line, ...rest } of readJsonLines(path)) yield { number: line, place: `line ${line}`, ...rest };
}

/** What messages call a file to read: `-` is stdin. */
export const inputName = (path: string) => (path === '-' ? 'stdin' : path);

/** Whether a file begins as Parquet does. A pipe is not looked into: what is read of it is gone. */
async function isParquet(path: string): Promise<boolean> {
  if (path === '-' || !(await statReadable(path)).isFile()) return false;
  try {
    const handle = await open(path, 'r');
    try {
      const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.toString('latin1') === 'PAR1';
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}
