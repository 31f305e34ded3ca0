import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { writeReport } from './report';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-report-'));
  const run = { block: 'data-11', run: 0, member: 0, seed: 1000, status: 'completed', iterations: 1 };
  const values = { initial: { gold: 0 }, final: { gold: 1, kl: 3 }, trajectory: { gold: [0, 1] }, seconds: 1 };
  const lines = ['vanilla', 'variance-weighted-kl'].map((method, index) =>
    JSON.stringify({ method, index, ...run, ...values }),
  );
  await writeFile(join(folder, 'runs.jsonl'), `${lines.join('\n')}\n`);
});
afterEach(() => rm(folder, { recursive: true }));

const benchmark = 'The reward models on RewardBench';

test('a rewardbench.json beside the runs is on the page', async () => {
  const share = { accuracy: 0.75, accuracyCi95: [0.6, 0.9] };
  const scorer = {
    ...{ ...share, items: 40, subsets: {}, priorSets: null, overall: null },
    sections: { Chat: { ...share, missing: [] } },
    calibration: { ece: 0.05, reliability: [{ ...share, items: 40, confidence: 0.7 }] },
  };
  expect(await readFile((await writeReport([folder])).html, 'utf8')).not.toContain(benchmark);
  await writeFile(
    join(folder, 'rewardbench.json'),
    JSON.stringify({ mean: scorer, members: [scorer, scorer], coverage: null }),
  );
  const page = await readFile((await writeReport([folder])).html, 'utf8');
  expect(page).toContain(benchmark);
  expect(page).toContain('Chat: 75 % (60 % to 90 %)');
});

test('another file of that name is named, not drawn', async () => {
  await writeFile(join(folder, 'rewardbench.json'), '{"mean": 3}');
  await expect(writeReport([folder])).rejects.toMatchObject({
    kind: 'invalid_argument',
    message: expect.stringContaining('rewardbench.json is no document of surefoot rewardbench'),
  });
});

test('of several folders, the best run and the worst are those of all, under the names that the tables have', async () => {
  const folders = ['first', 'second'].map((name) => join(folder, name));
  for (const [i, own] of folders.entries()) {
    const lines = ['vanilla', 'variance-weighted-kl'].map((method, index) => ({
      ...{ method, index, block: 'data-11', run: 0, member: 0, seed: 1000, status: 'completed', iterations: 1 },
      // Gains of 1 and 2 in the first folder, of -1 and 4 in the second.
      ...{ initial: { gold: 0 }, final: { gold: [1, 2, -1, 4][2 * i + index], kl: 3 }, trajectory: {} },
    }));
    for (const { method, final } of lines) {
      const runFolder = join(own, 'runs', `${method}-data-11-0`);
      await mkdir(runFolder, { recursive: true });
      const response = (gold: number) => ({ response: `worth ${gold}`, gold });
      const line = { index: 0, prompt: 'how ?', initial: response(0), final: response(final.gold!) };
      await writeFile(join(runFolder, 'evaluation.jsonl.gz'), gzipSync(`${JSON.stringify(line)}\n`));
    }
    await writeFile(join(own, 'runs.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  const page = await readFile((await writeReport(folders)).html, 'utf8');
  expect(page).toContain('Best run: variance-weighted-kl, second/data-11, run 0');
  expect(page).toContain('Worst run: vanilla, second/data-11, run 0');
  expect(page).toContain('<dd>worth 4</dd>');
  expect(page).toContain('vanilla, first/data-11, run 0');
});
