import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  fileError,
  listFolder,
  makeFolder,
  parseJson,
  publishFolder,
  readJson,
  readJsonLines,
  readRows,
  readText,
  writeFileAtomically,
} from './index';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-files-'));
});
afterEach(async () => {
  await chmod(folder, 0o700);
  await rm(folder, { recursive: true });
});
const all = (path: string) => collect(readJsonLines(path));
const collect = async <Row>(reading: AsyncIterable<Row>) => {
  const rows: Row[] = [];
  for await (const row of reading) rows.push(row);
  return rows;
};

describe('readJsonLines', () => {
  test('numbers the lines and passes over empty ones', async () => {
    await writeFile(join(folder, 'a.jsonl'), '{"a":1}\r\n\n[2]');
    expect(await all(join(folder, 'a.jsonl'))).toEqual([
      { line: 1, value: { a: 1 } },
      { line: 3, value: [2] },
    ]);
  });
  test('reads gzip whatever the name', async () => {
    await writeFile(join(folder, 'a'), gzipSync('{"a":"é"}\n'));
    expect(await all(join(folder, 'a'))).toEqual([{ line: 1, value: { a: 'é' } }]);
  });
  test('a line that is not JSON carries the problem', async () => {
    await writeFile(join(folder, 'a'), '{"a"\n1');
    expect((await all(join(folder, 'a'))).map((row) => row.problem === undefined)).toEqual([false, true]);
  });
  test.each([
    ['truncated gzip', gzipSync('{"a":1}\n'.repeat(100)).subarray(0, 20), 'invalid_argument'],
    ['a line without end', gzipSync(Buffer.alloc(65 * 2 ** 20, 'a')), 'invalid_argument'],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'invalid_argument'],
  ])('%s is refused by name', async (_, data, kind) => {
    await writeFile(join(folder, 'bad'), data);
    await expect(all(join(folder, 'bad'))).rejects.toMatchObject({ kind, message: expect.stringContaining('bad') });
  });
  test('a missing file is not_found', async () => {
    await expect(all(join(folder, 'none'))).rejects.toMatchObject({ kind: 'not_found' });
    await expect(readJson(join(folder, 'none'))).rejects.toMatchObject({ kind: 'not_found' });
  });
});

describe('a file that is read', () => {
  test('is no pipe and no device, for which one would wait without end', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await symlink('/dev/zero', join(folder, 'device'));
    // The last begins as what a shell connects and leads elsewhere.
    for (const path of [join(folder, 'pipe'), join(folder, 'device'), '/proc/self/fd/../../../dev/zero'])
      for (const read of [readText, readJson, all, (path: string) => collect(readRows(path))])
        await expect(read(path)).rejects.toMatchObject({
          kind: 'failed_precondition',
          message: `cannot read ${path}: it is not a file (what a command writes is read from -)`,
        });
    for (const read of [readText, readJson, all, (path: string) => collect(readRows(path))])
      await expect(read(folder)).rejects.toMatchObject({
        kind: 'failed_precondition',
        message: `cannot read ${folder}: it is a folder`,
      });
  });
  test('may be what a shell connects: JSON lines, and Parquet says that it needs a name', async () => {
    const read = (words: string) => execFileSync('bash', ['-c', words], { encoding: 'utf8' });
    const program = `
      const { readRows } = require(${JSON.stringify(join(__dirname, '..', 'dist'))});
      (async () => { for await (const { place } of readRows(process.argv[2])) console.log(place); })()
        .catch(({ message }) => console.log(message));`;
    await writeFile(join(folder, 'program.js'), program);
    const command = `"${process.execPath}" "${join(folder, 'program.js')}"`;
    expect(read(`${command} <(printf '{}\n\n{}')`)).toBe('line 1\nline 3\n');
    expect(read(`printf '{}' | ${command} /dev/stdin`)).toBe('line 1\n');
    expect(read(`${command} /dev/null`)).toBe('');
    expect(read(`${command} <(printf PAR1)`)).toContain('is Parquet, which is read from a file that has a name');
  });
  test('has no more bytes than can be held', async () => {
    await writeFile(join(folder, 'large'), '');
    await truncate(join(folder, 'large'), 2 ** 40);
    await expect(readText(join(folder, 'large'))).rejects.toThrow('1099511627776 bytes, at most 536870888 are read');
    await expect(readJson(join(folder, 'large'))).rejects.toThrow('at most 134217728 are read');
  });
});

describe('JSON', () => {
  test('is what JSON.parse makes of it', () => {
    for (const text of ['[]', '{"a": "[[\\\\\\"[["}', '"\\\\"', '[[1, {"b": [null]}], "]"]', `"${'['.repeat(1000)}"`])
      expect(parseJson(text)).toEqual(JSON.parse(text));
    for (const text of ['', '[', '"', '"\\\\\\"', ']']) expect(() => parseJson(text)).toThrow();
  });
  test('is nested at most 200 deep', async () => {
    const nested = (depth: number) => '[{"a":'.repeat(depth / 2) + '1' + '}]'.repeat(depth / 2);
    expect(parseJson(nested(200))).toBeDefined();
    expect(() => parseJson(nested(202))).toThrow('nested more than 200 deep');
    await writeFile(join(folder, 'deep'), '['.repeat(10 * 2 ** 20));
    await expect(readJson(join(folder, 'deep'))).rejects.toThrow('deep is not JSON: it is nested more than 200 deep');
    expect((await all(join(folder, 'deep')))[0]!.problem).toBe('not JSON: it is nested more than 200 deep');
  });
});

test.each([
  ['EMFILE', 'cannot read a: this process has too many files open, see ulimit -n'],
  ['ENFILE', 'cannot read a: this machine has too many files open'],
])('%s says that too many files are open', (code, message) => {
  const kind = 'resource_exhausted';
  expect(fileError(Object.assign(new Error(), { code }), 'read', 'a')).toMatchObject({ kind, message });
});

describe('listFolder', () => {
  test('names what is there, nothing where there is no folder, and refuses a file', async () => {
    for (const name of ['b', 'a']) await writeFile(join(folder, name), '');
    expect(await listFolder(folder)).toEqual(['a', 'b']);
    expect(await listFolder(join(folder, 'none'))).toEqual([]);
    const message = expect.stringContaining(join(folder, 'a'));
    await expect(listFolder(join(folder, 'a'))).rejects.toMatchObject({ kind: 'failed_precondition', message });
  });
});

describe('writing', () => {
  test('a failed write leaves the folder as it was', async () => {
    await writeFileAtomically(join(folder, 'a'), 'old');
    await expect(writeFileAtomically(join(folder, 'none', 'a'), 'new')).rejects.toMatchObject({ kind: 'not_found' });
    expect(await readdir(folder)).toEqual(['a']);
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('old');
  });
  test('a folder is made with those above it, and a file in the way is named', async () => {
    await Promise.all(['b', 'b', 'b'].map((name) => makeFolder(join(folder, 'a', name))));
    await makeFolder(join(folder, 'a', 'b'));
    expect(await readdir(join(folder, 'a'))).toEqual(['b']);
    await writeFile(join(folder, 'file'), '');
    for (const path of [join(folder, 'file'), join(folder, 'file', 'b')])
      await expect(makeFolder(path)).rejects.toMatchObject({ message: expect.stringContaining(path) });
  });
  test('a folder appears whole or not at all', async () => {
    const target = join(folder, 'model');
    await expect(
      publishFolder(target, async (beside) => {
        await writeFile(join(beside, 'half'), '');
        throw new Error('stop');
      }),
    ).rejects.toThrow('stop');
    expect(await readdir(folder)).toEqual([]);
    await publishFolder(target, (beside) => writeFile(join(beside, 'whole'), ''));
    expect(existsSync(join(target, 'whole'))).toBe(true);
    await expect(publishFolder(target, async () => undefined)).rejects.toMatchObject({ kind: 'already_exists' });
    await publishFolder(target, (beside) => writeFile(join(beside, 'second'), ''), { replace: true });
    expect(await readdir(target)).toEqual(['second']);
    expect(await readdir(folder)).toEqual(['model']);
  });
});
