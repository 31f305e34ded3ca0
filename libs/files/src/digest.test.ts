import { chmod, link, mkdtemp, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { digestFile, rememberedDigest } from './index';

let folder: string;
let file: string;
let memory: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-digest-'));
  [file, memory] = [join(folder, 'file'), join(folder, 'memory')];
  await writeFile(file, 'abc');
});
afterEach(() => rm(folder, { recursive: true }));

// sha256 of "abc", FIPS 180-2 appendix B.1.
const digestOfAbc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const forged = 'f'.repeat(64);
/** What is remembered of the file, changed so that it shows where it is used. */
async function forge(): Promise<void> {
  const [name] = await readdir(memory);
  const place = join(memory, name!);
  await writeFile(place, (await readFile(place, 'utf8')).replace(digestOfAbc, forged));
}

describe('rememberedDigest', () => {
  test('is that of the file, and remembered for it under any of its names', async () => {
    expect(await rememberedDigest(file, memory, 1)).toBe(digestOfAbc);
    await forge();
    expect(await rememberedDigest(file, memory, 1)).toBe(forged);
    expect(await digestFile(file)).toBe(digestOfAbc);
    await link(file, join(folder, 'other'));
    expect(await rememberedDigest(join(folder, 'other'), memory, 1)).toBe(digestOfAbc);
    await forge();
    expect(await rememberedDigest(file, memory, 1)).toBe(forged);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['time of change', () => utimes(file, new Date(0), new Date(1000))],
    ['size', () => writeFile(file, 'abcd')],
    // The old file stays, or the new one could be given its inode.
    ['inode', () => rename(file, join(folder, 'old')).then(() => writeFile(file, 'abd'))],
  ])('another %s makes it be computed again', async (_, change) => {
    await rememberedDigest(file, memory, 1);
    await forge();
    await change();
    expect(await rememberedDigest(file, memory, 1)).toBe(await digestFile(file));
  });

  test('a change in place whose time was set back makes it be computed again', async () => {
    await utimes(file, 1e9, 1e9);
    const before = await stat(file, { bigint: true });
    await rememberedDigest(file, memory, 1);
    // File systems count time in ticks of some milliseconds; digesting a large file takes many.
    await new Promise((settle) => setTimeout(settle, 50));
    await writeFile(file, 'abd');
    await utimes(file, before.atime, before.mtime);
    const after = await stat(file, { bigint: true });
    expect([after.ino, after.size, after.mtimeNs]).toEqual([before.ino, before.size, before.mtimeNs]);
    expect(await rememberedDigest(file, memory, 1)).toBe(await digestFile(file));
  });

  test('of a small file is not remembered; what is remembered and damaged is not believed', async () => {
    expect(await rememberedDigest(file, memory)).toBe(digestOfAbc);
    await expect(readdir(memory)).rejects.toThrow('ENOENT');
    await rememberedDigest(file, memory, 1);
    const [name] = await readdir(memory);
    for (const damage of ['', '{', 'null', '[]', '{"sha256":"abc"}']) {
      await writeFile(join(memory, name!), damage);
      expect(await rememberedDigest(file, memory, 1)).toBe(digestOfAbc);
    }
  });

  test('is computed where nothing can be remembered', async () => {
    await writeFile(memory, 'a file in the way');
    expect(await rememberedDigest(file, memory, 1)).toBe(digestOfAbc);
    await chmod(folder, 0o500);
    expect(await rememberedDigest(file, join(folder, 'other'), 1)).toBe(digestOfAbc);
    await chmod(folder, 0o700);
  });

  test('of a missing file is an error that names it', async () => {
    await expect(rememberedDigest(join(folder, 'none'), memory)).rejects.toMatchObject({ kind: 'not_found' });
    await expect(digestFile(join(folder, 'none'))).rejects.toThrow('none: it does not exist');
  });
});
