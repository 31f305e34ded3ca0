import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ppoDefaults } from '@surefoot/ppo';
import { parse, stringify } from 'yaml';
import { readExperiment, readResolvedExperiment, readRunFile, withFlags } from './config';
import { recordedThreads, writeExperimentFile } from './experiment-file';
import { commonFolder, runConfig } from './run-config';

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'surefoot-cli-')));
  for (const name of ['task', 'task/base', 'ensemble', 'judge']) await mkdir(join(folder, name));
  for (const name of ['prompts.jsonl', 'eval.jsonl', 'gold.json', 'base/config.json'])
    await writeFile(join(folder, 'task', name), '{}\n');
});
afterEach(() => rm(folder, { recursive: true }));

const example = {
  name: 'uneven',
  policy: 'task/base',
  blocks: [
    { name: 'a', ensemble: 'ensemble' },
    { name: 'b', address: 'ensemble:50051' },
  ],
  judge: 'judge',
  gold: 'task/gold.json',
  prompts: 'task/prompts.jsonl',
  evalPrompts: 'task/eval.jsonl',
  methods: ['vanilla', { name: 'careful', mode: 'variance-weighted-kl', beta: 0.05 }],
  runs: 3,
  ppo: { iterations: 5, klTarget: 2, earlyStopKl: 1, rewardClip: 2, weightClamp: [0, Infinity] },
};

async function write(content: object, name = 'experiment.yaml'): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, stringify(content));
  return file;
}

describe('an experiment', () => {
  test('has every path absolute, and a method’s own keys over those of all', async () => {
    const adapter = { lora: { r: 4, targetModules: 'all-linear' }, weights: 'f32' };
    const config = await readExperiment(await write({ ...example, ...adapter }));
    expect(config).toMatchObject({
      policy: join(folder, 'task/base'),
      judge: { folder: join(folder, 'judge') },
      seed: 1000,
      blocks: [
        { name: 'a', ensemble: { folder: join(folder, 'ensemble') } },
        { name: 'b', ensemble: { address: 'ensemble:50051' } },
      ],
    });
    const common = { iterations: 5, klTarget: 2, rewardClip: 2, weightClampMin: 0, weightClampMax: Infinity };
    expect(config.methods).toEqual([
      { name: 'vanilla', ppo: { ...ppoDefaults, ...common, mode: 'vanilla' } },
      { name: 'careful', ppo: { ...ppoDefaults, ...common, mode: 'variance-weighted-kl', beta: 0.05 } },
    ]);
  });
  test.each([
    [{ runz: 3 }, 'unknown runz'],
    [{ ppo: { learninRate: 1 } }, 'unknown field learninRate'],
    [{ ppo: { learningRate: NaN } }, 'learningRate must be a number in (0, 1], not NaN'],
    [{ ppo: { member: 1 } }, 'member is chosen by the run'],
    [{ ppo: { weightClamp: 3 } }, 'weightClamp must be [min, max]'],
    [{ methods: ['vanila'] }, 'mode must be one of'],
    [{ methods: ['vanilla', 'vanilla'] }, 'the name vanilla occurs twice'],
    [{ prompts: 'nowhere.jsonl' }, 'nowhere.jsonl does not exist'],
    [{ prompts: 'task' }, 'task is a folder, no file'],
    [{ judge: 'task/prompts.jsonl' }, 'prompts.jsonl is no folder'],
    [{ runs: 0 }, 'runs: must be at least 1'],
    [{ runs: undefined }, 'runs: is missing'],
    [{ judge: undefined, gold: undefined }, 'a judge or gold is needed'],
    [{ blocks: [] }, 'blocks: must not be empty'],
    [{ blocks: [{ name: 'A b', ensemble: 'ensemble' }] }, 'blocks.0.name'],
    [{ policy: 3 }, 'policy: must be text'],
  ])('with %j is refused by name', async (change, message) => {
    const file = await write({ ...example, ...change });
    await expect(readExperiment(file)).rejects.toThrow(message);
    await expect(readExperiment(file)).rejects.toThrow(file);
  });
  test('as resolved is an experiment with the same values, and no number that JSON lacks', async () => {
    const adapter = { lora: { r: 4, targetModules: 'all-linear' }, weights: 'f32' };
    const config = await readExperiment(await write({ ...example, ...adapter }));
    const surroundings = {
      ensembles: [
        { members: 2, digest: 'x' },
        { members: 4, digest: null },
      ],
      backend: 'wasm',
      threads: 2,
    };
    const out = join(folder, 'out');
    await mkdir(out);
    await writeExperimentFile(out, config, surroundings, { resume: false });
    const file = join(out, 'experiment.yaml');
    expect(await readExperiment(file)).toEqual({ ...config, file });
    expect((await readResolvedExperiment(file)).members).toEqual([2, 4]);
    // Without a run, as after a start that failed, it binds nobody.
    await writeExperimentFile(out, { ...config, runs: 4 }, surroundings, { resume: false });
    await writeExperimentFile(out, config, surroundings, { resume: false });
    const checkpoints = join(out, 'runs', 'some-run', 'checkpoints');
    await mkdir(checkpoints, { recursive: true });
    await writeExperimentFile(out, config, surroundings, { resume: false });
    await writeFile(join(checkpoints, '0000000.safetensors'), '');
    await expect(writeExperimentFile(out, config, surroundings, { resume: false })).rejects.toThrow('--resume');
    // Other threads decide something only where the backend names them.
    await writeExperimentFile(out, config, { ...surroundings, threads: 3 }, { resume: true });
    expect(await recordedThreads(out)).toBe(2);
    const other = { ...config, runs: 4 };
    await expect(writeExperimentFile(out, other, surroundings, { resume: true })).rejects.toThrow('runs');
    const [first, ...others] = config.methods;
    const methods = [
      [{ ...first!, ppo: { ...first!.ppo, iterations: 7 } }, ...others],
      [...config.methods, { ...first!, name: 'one-more' }],
      [...config.methods].reverse(),
    ];
    for (const [i, says] of ['of methods.iterations:', 'of methods.one-more:', 'of methods:'].entries())
      await expect(
        writeExperimentFile(out, { ...config, methods: methods[i]! }, surroundings, { resume: true }),
      ).rejects.toThrow(says);
    // What is left out differs as much as what is added.
    const whole = { ...config, lora: undefined, weights: undefined };
    await expect(writeExperimentFile(out, whole, surroundings, { resume: true })).rejects.toThrow(
      'other values of lora, weights:',
    );
    const judged = { ...surroundings, judge: { members: 1, digest: 'y' } };
    await expect(writeExperimentFile(out, config, judged, { resume: true })).rejects.toThrow(
      'other values of digests:',
    );
    expect(JSON.stringify(parse(stringify(config)))).not.toBe('');
  });
});

describe('a run', () => {
  test('is the same file with one method, ensemble, member and seed', async () => {
    const { policy, prompts, ppo } = example;
    const content = { policy, prompts, ppo, method: 'uwo', ensemble: 'ensemble', member: 3, seed: 9 };
    const run = await readRunFile(await write(content, 'run.yaml'));
    expect(run).toMatchObject({ block: { ensemble: { folder: join(folder, 'ensemble') } }, member: 3, seed: 9 });
    const dataFolder = commonFolder(run);
    expect(dataFolder).toBe(join(folder, 'task'));
    const addresses = { ensemble: 'e:1', judge: 'none' };
    expect(runConfig(run, run, { dataFolder, addresses, keepRollouts: false })).toMatchObject({
      policy: 'base',
      prompts: 'prompts.jsonl',
      mode: 'uwo',
      member: 3,
      seed: 9n,
      ppo: { iterations: 5, evaluationSeed: 7n, weightClampMax: Infinity, missingEosPenalty: undefined },
    });
  });

  test('may train an adapter, which goes to the trainer as the file says, or a flag in its place', async () => {
    const { policy, prompts } = example;
    const options = {
      dataFolder: join(folder, 'task'),
      addresses: { ensemble: 'e:1', judge: 'none' },
      keepRollouts: false,
    };
    const wired = async (lora: unknown) => {
      const run = await readRunFile(await write({ policy, prompts, weights: 'bf16-mapped', lora }, 'lora.yaml'));
      return runConfig(run, run, options);
    };
    expect(await wired({ r: 8, alpha: 16, targetModules: ['c_attn'], rslora: true })).toMatchObject({
      weights: 'bf16-mapped',
      lora: { r: 8, alpha: 16, targetModules: ['c_attn'], targetPattern: '', rslora: true },
    });
    expect((await wired({ r: 8, targetModules: '.*attn' })).lora).toMatchObject({
      targetModules: [],
      targetPattern: '.*attn',
    });
    const run = await readRunFile(join(folder, 'lora.yaml'));
    expect(withFlags(run, {})).toEqual(run);
    const flagged = withFlags(run, { weights: 'f32', seed: 4 });
    expect(runConfig(flagged, flagged, options)).toMatchObject({ seed: 4n, weights: 'f32' });
    await expect(wired({ r: 0 })).rejects.toThrow('lora.r');
    await expect(wired({ r: 4, dropout: 0.1 })).rejects.toThrow('unknown lora: dropout');
  });
});
