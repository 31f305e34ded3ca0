import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readRows } from './index';
import { readParquet } from './parquet';
import { checkPages, checkRowGroups, type ColumnChunk } from './parquet-checks';

// Made by fixtures/make-fixtures.py.
const fixture = (name: string) => join(__dirname, 'fixtures', `${name}.parquet`);
const values = async (path: string) => {
  const rows = [];
  for await (const { value } of readRows(path)) rows.push(value);
  return rows;
};
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-parquet-'));
});
afterAll(() => rm(folder, { recursive: true }));
const damaged = async (name: string, change: (data: Buffer) => Buffer) => {
  const path = join(folder, name);
  await writeFile(path, change(await readFile(fixture('snappy'))));
  return path;
};

describe('Parquet', () => {
  test.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'v2-pages'])(
    'of %s gives the rows that were written: nested lists, nulls, empty lists, three row groups',
    async (name) => {
      const written = JSON.parse(await readFile(join(__dirname, 'fixtures', 'rows.json'), 'utf8'));
      expect(await values(fixture(name))).toEqual(written);
    },
  );

  test('of delta encodings is read', async () => {
    const rows = await values(fixture('delta'));
    expect(rows).toHaveLength(7);
    expect(rows[6]).toEqual({ prompt: 'Question 6: how is the soup? é👍', index: 6 });
  });

  test('gives what JSON has: exact numbers, digits beyond 2^53, ISO times, bytes only where they are no text', async () => {
    expect(await values(fixture('odd'))).toEqual([
      {
        ...{ large: '9007199254740993', date: '2024-02-29', time: '2024-02-29T12:30:00.000Z', decimal: 1 },
        ...{ bytes: Uint8Array.of(255, 254), category: 'x', map: { k: 1 }, floats: [0.5, -1] },
      },
      {
        ...{ large: 7, date: null, time: null, decimal: 2 },
        ...{ bytes: 'text', category: 'y', map: {}, floats: [] },
      },
    ]);
  });

  test('is known by its first bytes, and its rows by their number', async () => {
    const path = join(folder, 'named.jsonl');
    await writeFile(path, await readFile(fixture('zstd')));
    const places = [];
    for await (const { number, place } of readRows(path)) places.push([number, place]);
    expect(places.slice(0, 2)).toEqual([
      [1, 'row 1'],
      [2, 'row 2'],
    ]);
  });
});

describe('a Parquet file that is refused', () => {
  test.each([
    ['announces 600 MB in 19 KB', () => fixture('many-bytes'), /row group 1 holds 572 MiB .* smaller row groups/],
    ['announces 40 million values in a page', () => fixture('many-values'), /40000000 values/],
    ['is cut off', () => damaged('cut', (data) => data.subarray(0, data.length / 2)), /footer != PAR1/],
    ['is its first bytes alone', () => damaged('four', (data) => data.subarray(0, 4)), /cannot be read/],
    [
      'has a footer longer than itself',
      () =>
        damaged('footer', (data) => {
          data.writeUInt32LE(0x7fffffff, data.length - 8);
          return data;
        }),
      /metadata length 2147483647 exceeds/,
    ],
    ['has zeroes for metadata', () => damaged('zeroes', (data) => data.fill(0, 3000, data.length - 8)), /damaged/],
    ['has noise for pages', () => damaged('noise', (data) => data.fill(0xa7, 4, 1500)), /cannot be read/],
  ])('because it %s', async (_, make, reason) => {
    const path = await make();
    await expect(values(path)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringMatching(reason),
    });
    await expect(values(path)).rejects.toThrow(path);
  });

  test('because decoding takes too long ends the thread', async () => {
    const reading = readParquet(fixture('snappy'), { limitMs: 0 }).next();
    await expect(reading).rejects.toThrow('decoding it takes longer than 0.0 s');
  });

  test('because decoding takes too much memory ends the thread, and the wait for it', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const reading = readParquet(fixture('snappy'), { heapMegabytes: 4, limitMs: 600_000 }).next();
    await expect(reading).rejects.toThrow('decoding it takes more than 4 MB of memory');
    // The test runner has timers of its own, which end soon; one of the reader's would stay.
    for (let tries = 0; timers() > before && tries < 500; tries++)
      await new Promise((settle) => setTimeout(settle, 10));
    expect(timers()).toBeLessThanOrEqual(before);
  });
});

describe('what a file says of itself', () => {
  const chunk: ColumnChunk = {
    ...{ path_in_schema: ['a'], codec: 'ZSTD', num_values: 3n, data_page_offset: 4n },
    ...{ total_uncompressed_size: 100n, total_compressed_size: 50n },
  };
  const group = (change: Partial<ColumnChunk>, rows = 3n) => ({
    schema: [],
    row_groups: [{ num_rows: rows, columns: [{ meta_data: { ...chunk, ...change } }] }],
  });

  test.each([
    [{ num_values: 2n }, 'has 2 values for 3 rows'],
    [{ num_values: -1n }, 'is -1, no count'],
    [{ data_page_offset: 2n ** 62n }, 'no count'],
    [{ total_compressed_size: 97n }, 'is to lie at bytes 4 to 101, of 100'],
    [{ num_values: 2n ** 40n }, 'at most 512 MiB and 33554432 values'],
    [{ total_uncompressed_size: 2n ** 40n }, 'write smaller row groups'],
  ])('is refused with %j', (change, reason) => {
    expect(() => checkRowGroups(group({}), 100)).not.toThrow();
    expect(() => checkRowGroups(group(change), 100)).toThrow(reason);
  });

  test.each([
    [{ data_page_header: { num_values: 4 } }, 'more values than the column'],
    [{ uncompressed_page_size: 101 }, 'more bytes than the column'],
    [{ compressed_page_size: 21 }, 'ends beyond its column'],
    [{ compressed_page_size: -5 }, 'is -5, no count'],
  ])('is refused where a page says %j', (change, reason) => {
    const header = { type: 'DATA_PAGE', uncompressed_page_size: 30, compressed_page_size: 20 };
    const read = (more: object) => () => ({ ...header, data_page_header: { num_values: 3 }, ...more });
    const view = new DataView(new ArrayBuffer(20));
    expect(() => checkPages(chunk, view, read({}))).not.toThrow();
    expect(() => checkPages(chunk, view, read(change))).toThrow(reason);
  });
});
