import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { resolvePpoConfig } from '@surefoot/ppo';
import type { ExperimentConfig } from './config';
import { writeExperimentFile } from './experiment-file';
import { planRuns } from './plan';
import { readReportedFolders } from './reported-folder';
import { runsFolder, writeRunJson, writeRunsFile } from './runs-file';

let out: string;
beforeEach(async () => {
  out = await realpath(await mkdtemp(join(tmpdir(), 'surefoot-reported-')));
  await writeFile(join(out, 'prompts.jsonl'), '{}\n');
  const prompts = join(out, 'prompts.jsonl');
  const methods = [{ name: 'vanilla', ppo: resolvePpoConfig({ mode: 'vanilla' }) }];
  const blocks = [{ name: 'a', ensemble: { folder: join(out, 'ensemble') } }];
  const files = { policy: join(out, 'base'), prompts, evalPrompts: prompts };
  const config: ExperimentConfig = {
    ...{ name: 'x', usesBuiltinTask: false, ...files, blocks, methods, runs: 2, seed: 0, keepRollouts: false },
  };
  const surroundings = { ensembles: [{ members: 2, digest: 'x' }], backend: 'wasm', threads: 2 };
  await writeExperimentFile(out, config, surroundings, { resume: false });
  const plan = planRuns(config, [2]);
  for (const { id } of plan)
    await writeRunJson(out, id, {
      ...{ status: 'completed', iterations: 1, trajectory: {}, seconds: 1 },
      ...{ initial: { gold: 0 }, final: { gold: 1, kl: 3 } },
    });
  await writeRunsFile(out, plan);
});
afterEach(() => rm(out, { recursive: true }));

test.each([
  ['one run', (runs: string) => rm(join(runs, 'vanilla-a-0'), { recursive: true })],
  ['every run', (runs: string) => rm(runs, { recursive: true }).then(() => mkdir(runs))],
  ['every run, and the folder that held them', (runs: string) => rm(runs, { recursive: true })],
])('where the folder of %s was deleted, its line is read and stays', async (_, remove) => {
  const text = () => readFile(join(out, 'runs.jsonl'), 'utf8');
  const before = await text();
  await remove(runsFolder(out));
  const [found] = await readReportedFolders([out]);
  expect(found!.runs.map(({ index }) => index)).toEqual([0, 1]);
  expect(found!.experiment?.planned).toBe(2);
  expect(await text()).toBe(before);
});

test('folders that end alike are named as they were given', async () => {
  for (const name of ['a/exp', 'b/exp']) {
    await mkdir(join(out, name), { recursive: true });
    await writeFile(join(out, name, 'runs.jsonl'), '');
  }
  const names = async (...folders: string[]) =>
    (await readReportedFolders(folders.map((folder) => join(out, folder)))).map(({ name }) => name);
  expect(await names('a/exp', 'b/exp')).toEqual([join(out, 'a/exp'), join(out, 'b/exp')]);
  expect(await names('a/exp')).toEqual(['exp']);
});
