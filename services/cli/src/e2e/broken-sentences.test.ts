import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { workFolder } from './testing';

const script = resolve(__dirname, '../../../../experiments/broken-sentences.mjs');
let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
  for (const [name, content] of [
    ['no-gold', 'name: x\n'],
    ['lost-gold', 'gold: task/gold.json\n'],
  ] as const) {
    await mkdir(join(work.path, name));
    await writeFile(join(work.path, name, 'experiment.yaml'), content);
  }
});
afterAll(() => work.remove());

test.each([
  [[], 2, 'usage: '],
  [['--help'], 2, 'usage: '],
  [['nowhere'], 1, 'nowhere is no whole experiment on the built-in task: ENOENT'],
  [['no-gold'], 1, 'its experiment.yaml names no gold'],
  [['lost-gold'], 1, 'gold.json'],
])('the sentences of %j are wrong usage or no experiment, in a line', (words, status, says) => {
  const ended = spawnSync(process.execPath, [script, ...words], { cwd: work.path, encoding: 'utf8' });
  expect(ended).toMatchObject({ status, stdout: '' });
  expect(ended.stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(says)]);
});
