import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { checkPages, checkRowGroups, type ColumnChunk } from './parquet-checks';
import { plainValue } from './parquet-values';

type Row = Record<string, unknown>;

/** What this thread answers to each message: some rows of the file, in order; none after the last. */
export type ParquetReply = { rows: Row[] } | { problem: string };

/** Rows handed over at once. */
const slice = 1000;
const { path } = workerData as { path: string };

/** The rows of the file, a row group in memory at a time. */
async function* rowsOf(): AsyncGenerator<Row> {
  // Both packages are ES modules only.
  const { parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
  const { parquetHeader } = await import('hyparquet/src/column.js');
  const compressors = await codecs();
  const file = openFile();
  try {
    const metadata = await parquetMetadataAsync(file, { parsers, geoparquet: false });
    checkRowGroups(metadata, file.byteLength);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      for (const { meta_data } of group.columns) {
        const chunk = meta_data as ColumnChunk;
        const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
        const view = new DataView(file.slice(start, start + Number(chunk.total_compressed_size)));
        checkPages(chunk, view, parquetHeader);
      }
      const rowEnd = rowStart + Number(group.num_rows);
      const options = { file, metadata, compressors, parsers, rowStart, rowEnd };
      for (const row of await parquetReadObjects(options)) yield plainValue(row, metadata.schema.length) as Row;
      rowStart = rowEnd;
    }
  } finally {
    file.close();
  }
}

/** The file as hyparquet reads one. */
function openFile() {
  const handle = openSync(path, 'r');
  const byteLength = fstatSync(handle).size;
  return {
    byteLength,
    slice(start: number, end = byteLength): ArrayBuffer {
      if (!(start >= 0 && start <= end && end <= byteLength))
        throw new Error(`it points at bytes ${start} to ${end}, of ${byteLength}`);
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const read = readSync(handle, bytes, filled, bytes.length - filled, start + filled);
        if (read === 0) throw new Error('it has become shorter while it was read');
        filled += read;
      }
      return bytes.buffer;
    },
    close: () => closeSync(handle),
  };
}

/** Decompressors that give as many bytes as the page announces, and never take memory for more. */
async function codecs() {
  const { compressors, decompressZstd } = await import('hyparquet-compressors');
  return {
    ...compressors,
    GZIP: (input: Uint8Array, length: number) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
    BROTLI: (input: Uint8Array, length: number) =>
      brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
    ZSTD: (input: Uint8Array, length: number) => decompressZstd(input, new Uint8Array(length)),
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text where they are UTF-8, whether the column says so or not; others stay bytes. */
function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

function jsonOrText(bytes: Uint8Array): unknown {
  const text = textOrBytes(bytes);
  try {
    return typeof text === 'string' ? JSON.parse(text) : text;
  } catch {
    return text;
  }
}

function isoTime(milliseconds: number): string {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString();
}

// hyparquet declares what its own parsers return; these return what JSON has.
const parsers = {
  stringFromBytes: textOrBytes,
  jsonFromBytes: jsonOrText,
  geometryFromBytes: (bytes: Uint8Array) => bytes,
  geographyFromBytes: (bytes: Uint8Array) => bytes,
  dateFromDays: (days: number) => isoTime(days * 86_400_000).replace(/T.*/, ''),
  timestampFromMilliseconds: (time: bigint) => isoTime(Number(time)),
  timestampFromMicroseconds: (time: bigint) => isoTime(Number(time / 1000n)),
  timestampFromNanoseconds: (time: bigint) => isoTime(Number(time / 1_000_000n)),
} as object;

const rows = rowsOf();
let finished = false;

async function nextRows(): Promise<ParquetReply> {
  try {
    const found: Row[] = [];
    while (!finished && found.length < slice) {
      const { done, value } = await rows.next();
      if (done) finished = true;
      else found.push(value);
    }
    return { rows: found };
  } catch (error) {
    const { message } = error as Error;
    // The decoder stumbles over a damaged file in ways that say nothing to its owner.
    const isDamaged = error instanceof TypeError || error instanceof RangeError;
    return { problem: isDamaged ? `it is damaged (${message})` : message };
  }
}

parentPort?.on('message', () => void nextRows().then((reply) => parentPort?.postMessage(reply)));
