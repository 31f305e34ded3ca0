import { mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { resolvePpoConfig } from '@surefoot/ppo';
import { parse, stringify } from 'yaml';
import type { ExperimentConfig } from './config';
import { experimentPath, writeExperimentFile } from './experiment-file';

let out: string;
let config: ExperimentConfig;
beforeEach(async () => {
  out = await realpath(await mkdtemp(join(tmpdir(), 'surefoot-experiment-')));
  await writeFile(join(out, 'prompts.jsonl'), '{}\n');
  const files = {
    policy: join(out, 'base'),
    prompts: join(out, 'prompts.jsonl'),
    evalPrompts: join(out, 'prompts.jsonl'),
  };
  const methods = [{ name: 'vanilla', ppo: resolvePpoConfig({ mode: 'vanilla' }) }];
  const blocks = [{ name: 'a', ensemble: { folder: join(out, 'ensemble') } }];
  config = { name: 'x', usesBuiltinTask: false, ...files, blocks, methods, runs: 1, seed: 0, keepRollouts: false };
});
afterEach(() => rm(out, { recursive: true }));

const surroundings = { ensembles: [{ members: 2, digest: 'x' }], backend: 'wasm', threads: 2 };
const written = async () => parse(await readFile(experimentPath(out), 'utf8')) as Record<string, unknown>;
const share = (seed: number, around = surroundings) =>
  writeExperimentFile(out, { ...config, seed }, around, { resume: true, shared: true });

describe('of several who share a folder', () => {
  test('and begin at once in different ways one goes on, and the file is his', async () => {
    const seeds = Array.from({ length: 8 }, (_, seed) => seed);
    const ended = await Promise.allSettled(seeds.map((seed) => share(seed)));
    const goOn = seeds.filter((seed) => ended[seed]!.status === 'fulfilled');
    expect(goOn).toHaveLength(1);
    expect(await written()).toMatchObject({ seed: goOn[0] });
    for (const result of ended)
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({
          kind: 'failed_precondition',
          message: expect.stringMatching(/experiment\.yaml was made with other values of seed: .* remove the file$/),
        });
  });

  test('and begin at once in the same way all go on, and nothing but the file is left', async () => {
    await Promise.all([3, 3, 3, 3].map((seed) => share(seed)));
    expect((await readdir(out)).sort()).toEqual(['experiment.yaml', 'prompts.jsonl']);
    await expect(share(3, { ...surroundings, backend: 'cpu' })).rejects.toThrow('backend (wasm, now cpu)');
    // What somebody emptied says nothing that would fit.
    await writeFile(experimentPath(out), '');
    await expect(share(3)).rejects.toMatchObject({ kind: 'failed_precondition' });
  });

  test('none takes the place of a file, even where no run has begun; who has the folder to himself does', async () => {
    await writeExperimentFile(out, config, surroundings, { resume: false });
    await expect(share(1)).rejects.toThrow('other values of seed:');
    await writeExperimentFile(out, { ...config, seed: 1 }, surroundings, { resume: false });
    await share(1);
    const checkpoints = join(out, 'runs', 'vanilla-a-0', 'checkpoints');
    await mkdir(checkpoints, { recursive: true });
    await writeFile(join(checkpoints, '0000000.safetensors'), '');
    await expect(share(2)).rejects.toThrow(/the same configuration$/);
    await expect(writeExperimentFile(out, config, surroundings, { resume: true })).rejects.toThrow('seed');
  });
});

test('an experiment of before there were learning-rate schedules goes on with a constant rate, and with no other', async () => {
  await writeExperimentFile(out, config, surroundings, { resume: false });
  const { methods, ...rest } = (await written()) as { methods: Record<string, unknown>[] };
  for (const name of ['learningRateSchedule', 'adamEpsilonMode']) delete methods[0]![name];
  await writeFile(experimentPath(out), stringify({ ...rest, methods }));
  await share(0);
  config.methods[0]!.ppo.learningRateSchedule = 'linear';
  await expect(share(0)).rejects.toThrow('other values of methods.learningRateSchedule (constant, now linear):');
});
