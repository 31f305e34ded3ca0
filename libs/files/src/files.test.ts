import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  createOutput,
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
  writeOutput,
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
    const file = join(folder, 'file');
    await expect(makeFolder(file)).rejects.toThrow(`cannot write ${file}: it is a file, no folder`);
    await expect(makeFolder(join(file, 'b'))).rejects.toThrow(`cannot write ${join(file, 'b')}: it`);
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

describe('a file that a user has named', () => {
  const at = (...names: string[]) => join(folder, ...names);

  test('is whole or as it was, and the folders above it are made', async () => {
    await writeOutput(at('a', 'b', 'file'), 'old');
    const file = await createOutput(at('a', 'b', 'file'));
    await file.write('new');
    expect(await readFile(at('a', 'b', 'file'), 'utf8')).toBe('old');
    await file.discard();
    expect(await readdir(at('a', 'b'))).toEqual(['file']);
    expect(await readFile(at('a', 'b', 'file'), 'utf8')).toBe('old');
  });

  test('is what a link leads to, also where nothing stands there yet; the link stays', async () => {
    await mkdir(at('links'));
    await writeFile(at('there'), 'old');
    for (const [link, target, path] of [
      ['links/there', '../there', 'there'],
      ['links/twice', 'there', 'there'],
      ['links/later', '../made/later', 'made/later'],
    ] as const) {
      await symlink(target, at(link));
      await writeOutput(at(link), link);
      expect([await readlink(at(link)), await readFile(at(path), 'utf8')]).toEqual([target, link]);
      expect((await lstat(at(path))).isFile()).toBe(true);
    }
    expect((await readdir(folder)).sort()).toEqual(['links', 'made', 'there']);
  });

  test('is refused where it is a folder, a socket or a circle of links, which stay', async () => {
    await mkdir(at('folder'));
    await symlink('folder', at('linked'));
    await symlink('circle', at('circle'));
    const server = createServer().listen(at('socket'));
    await once(server, 'listening');
    for (const [name, reason] of [
      ['folder', 'it is a folder'],
      ['linked', 'it is a folder'],
      ['socket', 'it is a socket'],
      ['circle', 'it is a link that leads in a circle'],
    ] as const) {
      const message = expect.stringContaining(`cannot write ${at(name)}: ${reason}`);
      await expect(writeOutput(at(name), 'new')).rejects.toMatchObject({ kind: 'failed_precondition', message });
    }
    expect((await readdir(folder)).sort()).toEqual(['circle', 'folder', 'linked', 'socket']);
    expect((await lstat(at('linked'))).isSymbolicLink()).toBe(true);
    await new Promise((closed) => server.close(closed));
  });

  test('is written through where it is a device or a pipe', async () => {
    await symlink('/dev/full', at('device'));
    await expect(writeOutput(at('device'), 'new')).rejects.toMatchObject({
      kind: 'resource_exhausted',
      message: `cannot write ${at('device')}: the disk is full`,
    });
    await writeOutput('/dev/null', 'new');
    expect((await lstat('/dev/null')).isCharacterDevice()).toBe(true);
    execFileSync('mkfifo', [at('pipe')]);
    const long = 'x'.repeat(2 ** 18);
    // The reader comes later: a pipe is waited for.
    const written = writeOutput(at('pipe'), long);
    const read = readFile(at('pipe'), 'utf8');
    await written;
    expect(await read).toBe(long);
    expect((await lstat(at('pipe'))).isFIFO()).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['device', 'pipe']);
  });

  test('a pipe whose reader has ended is named', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const reader = spawn('head', ['-c', '1', at('pipe')], { stdio: 'ignore' });
    const ended = once(reader, 'close');
    const file = await createOutput(at('pipe'));
    await file.write('x');
    await ended;
    await expect(file.write('x')).rejects.toThrow(`cannot write ${at('pipe')}: what read it has ended`);
    await file.discard();
  });

  test('a process that waits for the reader of a pipe can be ended', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const program = `
      require(${JSON.stringify(join(__dirname, '..', 'dist'))}).writeOutput(process.argv[1], 'x');
      process.on('SIGTERM', () => process.exit(3));
      console.log('waiting');`;
    const waiting = spawn(process.execPath, ['-e', program, at('pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(waiting.stdout, 'data');
    waiting.kill();
    expect(await once(waiting, 'exit')).toEqual([3, null]);
  });

  test('is added to where a shell has connected it', async () => {
    const program = `require(${JSON.stringify(join(__dirname, '..', 'dist'))}).writeOutput(process.argv[2], 'new\\n')`;
    await writeFile(at('program.js'), program);
    const command = `"${process.execPath}" "${at('program.js')}"`;
    const shell = (words: string) => execFileSync('bash', ['-c', words], { encoding: 'utf8' });
    await writeFile(at('file'), 'old\n');
    shell(`{ ${command} /dev/stdout; echo last; } >> "${at('file')}"`);
    expect(await readFile(at('file'), 'utf8')).toBe('old\nnew\nlast\n');
    expect(shell(`${command} /dev/stdout | cat; ${command} >(cat) | cat`)).toBe('new\nnew\n');
  });

  test('is not what the name of an own file in a folder leads to', async () => {
    await writeFile(at('elsewhere'), 'old');
    await symlink('elsewhere', at('own'));
    await writeFileAtomically(at('own'), 'new');
    expect([await readFile(at('elsewhere'), 'utf8'), await readFile(at('own'), 'utf8')]).toEqual(['old', 'new']);
  });
});
