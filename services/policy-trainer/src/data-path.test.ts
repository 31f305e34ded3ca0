import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resolveDataPath } from './data-path';

let top: string;
let root: string;
beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'data-path-')));
  root = join(top, 'data');
  mkdirSync(join(root, 'base'), { recursive: true });
  mkdirSync(join(top, 'data-of-others'));
  writeFileSync(join(root, 'prompts.jsonl'), '');
  writeFileSync(join(top, 'data-of-others', 'secret'), '');
  symlinkSync(join(top, 'data-of-others'), join(root, 'elsewhere'));
  symlinkSync(join(root, 'base'), join(root, 'latest'));
  symlinkSync(root, join(top, 'mounted'));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

const file = (path: string, from = root) => resolveDataPath(from, path, { field: 'prompts', kind: 'file' });
const folder = (path: string, from = root) => resolveDataPath(from, path, { field: 'policy', kind: 'folder' });

describe('resolveDataPath', () => {
  test('accepts relative and absolute paths under the root, and links that stay under it', async () => {
    expect(await file('prompts.jsonl')).toBe(join(root, 'prompts.jsonl'));
    expect(await file(join(root, 'prompts.jsonl'))).toBe(join(root, 'prompts.jsonl'));
    expect(await folder('base/../latest')).toBe(join(root, 'base'));
  });

  test('works where the root itself is a link, or the root of the file system', async () => {
    expect(await folder('base', join(top, 'mounted'))).toBe(join(root, 'base'));
    expect(await folder(join(root, 'base'), join(top, 'mounted'))).toBe(join(root, 'base'));
    expect(await folder(join(root, 'base'), '/')).toBe(join(root, 'base'));
  });

  test('refuses what lies outside, by name or through a link, whether it exists or not', async () => {
    for (const path of ['../data-of-others/secret', '../nothing', '/etc/passwd', 'elsewhere/secret', '..'])
      await expect(file(path)).rejects.toMatchObject({
        kind: 'invalid_argument',
        message: `prompts: ${path} is outside the data directory`,
      });
  });

  test('says not_found with field and path', async () => {
    await expect(folder('bose')).rejects.toMatchObject({
      kind: 'not_found',
      message: 'policy: bose does not exist',
    });
    await expect(file('prompts.jsonl/x')).rejects.toMatchObject({ kind: 'not_found' });
  });

  test('refuses a file for a folder, a folder for a file, and no path at all', async () => {
    await expect(folder('prompts.jsonl')).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(file('base')).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(file('')).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(file('a\0b')).rejects.toMatchObject({ kind: 'invalid_argument' });
  });
});
