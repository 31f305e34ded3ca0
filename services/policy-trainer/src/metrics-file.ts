import { open, readFile } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { fileError } from '@surefoot/files';

/** One iteration's metrics by name; a number that is not finite has no place in the file and is left out. */
export type Metrics = Record<string, number>;

/** One line of metrics.jsonl. */
export interface MetricsLine {
  /** Counted from 1. */
  iteration: number;
  metrics: Metrics;
}

/** A metrics file open for appending. */
export interface MetricsFile {
  /** The lines that were kept when it was opened. */
  readonly kept: MetricsLine[];
  /** Appends a line and waits until it is on the disk: a checkpoint may rely on the lines before it. */
  append(line: MetricsLine): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens metrics.jsonl to go on after iteration `iteration`: what a killed process wrote beyond its checkpoint is cut off.
 *
 * @throws DomainError failed_precondition where the file lacks lines that the checkpoint relies on; as `fileError`
 */
export async function openMetricsFile(path: string, iteration: number): Promise<MetricsFile> {
  const handle = await open(path, 'a+').catch((error: unknown) => {
    throw fileError(error, 'write', path);
  });
  let kept: MetricsLine[];
  try {
    const text = await handle.readFile('utf8');
    const length = lengthOfLines(text, iteration);
    if (length === undefined)
      throw new DomainError(
        'failed_precondition',
        `${path} lacks lines before its checkpoint of iteration ${iteration}: start the run under another id`,
      );
    kept = parseLines(text.slice(0, length), path);
    await handle.truncate(length);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    kept,
    async append(line) {
      try {
        await handle.appendFile(formatMetricsLine(line));
        await handle.datasync();
      } catch (error) {
        throw fileError(error, 'write', path);
      }
    },
    close: () => handle.close(),
  };
}

/** The complete lines of metrics.jsonl; none where the file does not exist yet. */
export async function readMetrics(path: string): Promise<MetricsLine[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return parseLines(text.slice(0, text.lastIndexOf('\n') + 1), path);
}

function parseLines(text: string, path: string): MetricsLine[] {
  try {
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const { iteration, ...metrics } = JSON.parse(line) as { iteration: number } & Metrics;
        return { iteration, metrics };
      });
  } catch (error) {
    throw new DomainError('failed_precondition', `${path} is damaged: ${(error as Error).message}`, { cause: error });
  }
}

function formatMetricsLine({ iteration, metrics }: MetricsLine): string {
  const finite = Object.entries(metrics).filter(([, value]) => Number.isFinite(value));
  return `${JSON.stringify({ iteration, ...Object.fromEntries(finite) })}\n`;
}

/** Bytes of the first `count` lines, which are ASCII; undefined where there are fewer. */
function lengthOfLines(text: string, count: number): number | undefined {
  let end = 0;
  for (let line = 0; line < count; line += 1) {
    end = text.indexOf('\n', end) + 1;
    if (end === 0) return undefined;
  }
  return end;
}
