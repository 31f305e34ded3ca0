import { link, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Interrupted, UsageError } from './failure';
import { refuseOverwriting, writeLines } from './lines';
import { createTerminal } from './terminal';

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-lines-'));
  out = join(folder, 'out');
});
afterEach(() => rm(folder, { recursive: true }));

const terminal = createTerminal(process.stdout, process.stderr);
const long = 'x'.repeat(2 ** 20);
const sizes = async () =>
  Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));

test('lines are on the disk while the next are made, and under their name when all are there', async () => {
  await writeLines(out, terminal, async (write) => {
    for (let line = 1; line <= 3; line += 1) {
      await write({ long });
      expect(await sizes()).toEqual([line * (long.length + 12)]);
    }
    await write('last');
    await expect(stat(out)).rejects.toThrow('ENOENT');
  });
  expect(await readdir(folder)).toEqual(['out']);
  expect((await readFile(out, 'utf8')).split('\n').map((line) => line.slice(0, 8))).toEqual([
    ...Array.from({ length: 3 }, () => '{"long":'),
    '"last"',
    '',
  ]);
});

test('after Ctrl-C those that were finished are kept; after an error none, and nothing beside', async () => {
  const ending = (error: Error) =>
    writeLines(out, terminal, async (write) => {
      for (const line of [1, long, 2]) await write(line);
      throw error;
    });
  await expect(ending(new Error('broken'))).rejects.toThrow('broken');
  expect(await readdir(folder)).toEqual([]);
  await expect(ending(new Interrupted())).rejects.toThrow(Interrupted);
  expect((await readFile(out, 'utf8')).split('\n')).toEqual(['1', `"${long}"`, '2', '']);
  expect(await readdir(folder)).toEqual(['out']);
});

test('no line makes an empty file, and a folder that is missing is made', async () => {
  const there = join(folder, 'none', 'out');
  await writeLines(there, terminal, () => Promise.resolve());
  expect(await readFile(there, 'utf8')).toBe('');
});

test('an output that is the input is refused, whatever its name; others are not', async () => {
  const at = (name: string) => join(folder, name);
  await writeFile(at('in'), '1\n');
  await writeFile(at('other'), '1\n');
  await symlink('in', at('symbolic'));
  await link(at('in'), at('hard'));
  for (const name of ['in', 'symbolic', 'hard']) {
    const refused = refuseOverwriting({ in: at('in'), out: at(name) });
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(`--out ${at(name)} is the file that --in ${at('in')} reads`);
  }
  for (const files of [
    { in: at('in'), out: at('other') },
    { in: at('in'), out: at('none') },
    { in: at('none'), out: at('none') },
    { in: at('in'), out: '-' },
    { in: '-', out: '-' },
    { in: '/dev/null', out: '/dev/null' },
  ])
    await refuseOverwriting(files);
});
