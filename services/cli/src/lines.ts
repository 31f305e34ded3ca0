import { stat } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { createOutput, inputName, readRows, type WholeFile } from '@surefoot/files';
import { z } from 'zod';
import type { Context } from './command';
import { Interrupted, throwIfInterrupted, UsageError } from './failure';
import { option, output, text } from './option';
import { plainWords } from './plain-words';
import { toJson, type Terminal } from './terminal';

/** `--in`, for commands that read lines. @param line what one holds, for the help */
export const inFile = (line: string) =>
  option('<file>', `JSON lines, gz too, or Parquet, or - for stdin: ${line}`, text);
/** What a line of rollouts holds. */
export const rolloutLine =
  '{"id", "prompt", "response"}, to which the end token is added unless "truncated" is true, or {"id", "ids"} of both, taken as they are';
/** `--out`, for commands that write lines. */
export const outFile = option('<file>', 'JSON lines to write; - for stdout', output.default('-'));

/** @throws UsageError where two of the files are stdin, of which the second would find nothing left */
export function refuseSecondStdin(files: readonly (string | undefined)[]): void {
  if (files.filter((file) => file === '-').length > 1)
    throw new UsageError('stdin (-) can be read only once: give a file for the others');
}

/** @throws UsageError where `--out` is, by whatever name, the file that `--in` reads, which would then be lost */
export async function refuseOverwriting(files: { in: string; out: string }): Promise<void> {
  if (files.out === '-') return;
  const [read, written] = await Promise.all(
    [files.in === '-' ? '/dev/stdin' : files.in, files.out].map((file) =>
      stat(file, { bigint: true }).catch(() => undefined),
    ),
  );
  if (read?.isFile() && read.dev === written?.dev && read.ino === written.ino)
    throw new UsageError(
      `--out ${files.out} is the file that --in ${files.in} reads, and would take its place: give --out another name`,
    );
}

/** One input line that has the right form. */
export interface InputLine<Value> {
  line: number;
  value: Value;
}

/**
 * All lines of a JSON-lines file, or rows of a Parquet file, checked.
 *
 * @throws DomainError invalid_argument with file, line and reason, or where there is no line
 */
export async function readLines<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
): Promise<InputLine<z.output<Schema>>[]> {
  const rows: InputLine<z.output<Schema>>[] = [];
  for await (const { number: line, place, value, problem } of readRows(file)) {
    const where = `${inputName(file)} ${place}`;
    if (problem) throw new DomainError('invalid_argument', `${where}: ${problem}`);
    const { success, data, error } = schema.safeParse(value, { error: plainWords });
    if (!success) throw new DomainError('invalid_argument', `${where}: ${firstProblem(error)}`);
    rows.push({ line, value: data });
  }
  if (rows.length === 0) throw new DomainError('invalid_argument', `${inputName(file)}: there is no line to read`);
  return rows;
}

/** Characters that are written to a file at once, or one line. */
const pieceLength = 2 ** 20;

/**
 * Runs `body`, which hands over finished lines, one after the other. On stdout they appear at once; those of a file go to the disk
 * as they come, for together they may be more than memory holds, and get their name when all are there, or after Ctrl-C.
 */
export async function writeLines(
  out: string,
  terminal: Terminal,
  body: (write: (value: unknown) => Promise<void>) => Promise<void>,
): Promise<void> {
  if (out === '-') return body((value) => terminal.print(`${toJson(value)}\n`));
  let file: WholeFile | undefined;
  let piece = '';
  const flush = async () => {
    file ??= await createOutput(out);
    await file.write(piece);
    piece = '';
    return file;
  };
  try {
    await body(async (value) => {
      piece += `${toJson(value)}\n`;
      if (piece.length >= pieceLength) await flush();
    }).catch(async (error: unknown) => {
      if (error instanceof Interrupted) await (await flush()).publish();
      throw error;
    });
    await (await flush()).publish();
  } catch (error) {
    await file?.discard();
    throw error;
  }
}

/**
 * Works through rows a batch at a time, with progress, and looks for Ctrl-C between batches.
 *
 * @param options.unit what the rows are called in the progress
 */
export async function inBatches<Row>(
  rows: Row[],
  { terminal, signal }: Pick<Context, 'terminal' | 'signal'>,
  options: { label: string; unit: string; size: number },
  work: (batch: Row[]) => Promise<void>,
): Promise<void> {
  const progress = terminal.progress(options.label, rows.length, options.unit);
  try {
    for (let start = 0; start < rows.length; start += options.size) {
      // Signals arrive only when the event loop turns, and computing does not let it.
      await new Promise((resolve) => setImmediate(resolve));
      throwIfInterrupted(signal);
      const batch = rows.slice(start, start + options.size);
      await work(batch);
      progress.advance(batch.length);
    }
  } finally {
    progress.finish();
  }
}

/** Runs `body`; an error of the domain that it throws names the place. */
export function atLine<Result>(where: string, body: () => Result): Result {
  try {
    return body();
  } catch (error) {
    if (error instanceof DomainError) throw new DomainError(error.kind, `${where}: ${error.message}`, { cause: error });
    throw error;
  }
}

function firstProblem(error: z.ZodError): string {
  const issue = error.issues[0];
  if (!issue) return 'wrong form';
  const key = issue.path.join('.');
  return `${key ? `${key}: ` : ''}${issue.message}`;
}
