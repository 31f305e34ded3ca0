import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import '@surefoot/tensor/testing';
import { digestFile } from '@surefoot/files';
import { loadModel, disposeModel, trainableParameters } from '@surefoot/language-model';
import * as tf from '@tensorflow/tfjs';
import { readMetrics } from './metrics-file';
import { createJob, createSettings, createWorld, scoreByWords, smallPpo, type World } from './testing';
import type { TrainingContext, TrainingOutcome } from './training-job';
import { trainingRun } from './training-run';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.remove());

const context: TrainingContext = {
  score: async (request) => scoreByWords(request),
  onStage: () => undefined,
  onIteration: () => undefined,
  warn: () => undefined,
  checkStopped: () => undefined,
};
const weights = (folder: string) => digestFile(join(folder, 'model', 'model.safetensors'));

/** What must be the same in two runs that are the same: all but times. */
async function essence(folder: string) {
  const lines = await readMetrics(join(folder, 'metrics.jsonl'));
  const timeless = lines.map(({ iteration, metrics }) => [
    iteration,
    Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith('time/'))),
  ]);
  return {
    weights: await weights(folder),
    best: await digestFile(join(folder, 'model-best', 'model.safetensors')),
    metrics: timeless,
    evaluation: gunzipSync(readFileSync(join(folder, 'evaluation.jsonl.gz'))).toString(),
  };
}
const timeless = ({ initial, final }: TrainingOutcome) => ({ initial, final });

describe('a training run', () => {
  test('raises what it is rewarded for, and leaves metrics, two checkpoints, evaluation and a model that loads', async () => {
    const folder = world.folder('whole');
    const job = createJob(world, folder, createSettings({ iterations: 20 }));
    const { initial, final, seconds } = await trainingRun(job, context);
    expect(final.judge!).toBeGreaterThan(initial.judge! + 1);
    expect(final.reward!).toBeGreaterThan(0.5);
    expect(final.kl).toBeGreaterThan(0.5);
    expect(initial.kl).toBe(0);
    expect(seconds).toBeGreaterThan(0);

    const lines = await readMetrics(join(folder, 'metrics.jsonl'));
    expect(lines.map(({ iteration }) => iteration)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(lines[0]!.metrics['policy/ratio_deviation_first']).toBeLessThan(1e-5);
    expect(Object.keys(lines[0]!.metrics)).toEqual(
      expect.arrayContaining(['objective/kl', 'judge/score', 'reward/variance_mean', 'time/seconds']),
    );
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['0000019.safetensors', '0000020.safetensors']);

    const evaluation = gunzipSync(readFileSync(join(folder, 'evaluation.jsonl.gz')))
      .toString()
      .trimEnd()
      .split('\n');
    expect(evaluation).toHaveLength(48);
    expect(JSON.parse(evaluation[5]!)).toMatchObject({
      index: 5,
      prompt: 'is cake good ?',
      seed: 7,
      initial: { kl: 0, response: expect.any(String), judge: expect.any(Number) },
      final: { kl: expect.any(Number), reward: expect.any(Number), judge: expect.any(Number) },
    });
    for (const name of ['model', 'model-best']) disposeModel(await loadModel(join(folder, name)));
    await expect(() => trainingRun(job, context)).toNotLeakTensors();
  });

  test('twice the same gives the same bits, whatever the chunks and the order in which scores come', async () => {
    const [one, other] = [world.folder('once'), world.folder('twice')];
    const outcome = await trainingRun(createJob(world, one), context);
    let calls = 0;
    const late: TrainingContext = {
      ...context,
      score: async (request) => {
        calls += 1;
        await new Promise((resolve) => setTimeout(resolve, (calls % 3) * 5));
        return scoreByWords(request);
      },
    };
    const again = await trainingRun(createJob(world, other, createSettings({ chunkSize: 3 })), late);
    expect(await essence(other)).toEqual(await essence(one));
    expect(timeless(again)).toEqual(timeless(outcome));
  });

  test('another judge, or none, changes no weight', async () => {
    const [one, other, without] = [world.folder('judge-a'), world.folder('judge-b'), world.folder('judge-none')];
    await trainingRun(createJob(world, one), context);
    await trainingRun(
      { ...createJob(world, other), judgeDigest: '9'.repeat(64) },
      { ...context, score: async (request) => scoreByWords(request, -1) },
    );
    const unjudged = await trainingRun(
      { ...createJob(world, without), judgeDigest: null },
      { ...context, score: async (request) => ({ ...scoreByWords(request), judge: [] }) },
    );
    expect(await weights(other)).toBe(await weights(one));
    expect(await weights(without)).toBe(await weights(one));
    expect(unjudged.final.judge).toBeUndefined();
    expect(readdirSync(without)).not.toContain('model-best');
    const judged = (folder: string) => readMetrics(join(folder, 'metrics.jsonl'));
    expect((await judged(other))[0]!.metrics['judge/score']).toBe(-(await judged(one))[0]!.metrics['judge/score']!);
  });

  test('stopped after any iteration and resumed, it ends with the bits of one that was not', async () => {
    const uncut = world.folder('uncut');
    const settings = createSettings({ learningRateSchedule: 'linear' }, { keepRollouts: true });
    const outcome = await trainingRun(createJob(world, uncut, settings), context);
    const cut = world.folder('cut');
    for (let stopAfter = 0; stopAfter < smallPpo.iterations!; stopAfter += 1) {
      const stopping: TrainingContext = {
        ...context,
        score: async (request) => {
          const done = (await readMetrics(join(cut, 'metrics.jsonl'))).length;
          if (done > stopAfter || (stopAfter === 0 && !request.asked.ensemble)) throw new Error('pulled the plug');
          return scoreByWords(request);
        },
      };
      await expect(trainingRun(createJob(world, cut, settings), stopping)).rejects.toThrow('pulled the plug');
      // What a process writes between its last checkpoint and its death.
      writeFileSync(join(cut, 'metrics.jsonl'), `{"iteration":${stopAfter + 2},"objective/kl":3}\n{"iter`, {
        flag: 'a',
      });
      if (stopAfter > 0) writeFileSync(join(cut, 'rollouts.jsonl.gz'), 'half a member', { flag: 'a' });
      writeFileSync(join(cut, 'checkpoints', '.0000001.safetensors.1234.part'), 'half a checkpoint');
      mkdirSync(join(cut, '.model.1234.part'), { recursive: true });
    }
    const resumed = await trainingRun(createJob(world, cut, settings), context);
    // An event file is named by the second it was begun in.
    const names = (folder: string) => readdirSync(folder).map((name) => name.replace(/tfevents\.\d+/, 'tfevents'));
    expect(names(cut).sort()).toEqual(names(uncut).sort());
    expect(names(cut)).toContain('events.out.tfevents.surefoot');
    expect(readdirSync(join(cut, 'checkpoints'))).toEqual(readdirSync(join(uncut, 'checkpoints')));
    expect(await essence(cut)).toEqual(await essence(uncut));
    expect(timeless(resumed)).toEqual(timeless(outcome));
    const rates = (await readMetrics(join(cut, 'metrics.jsonl'))).map(
      ({ metrics }) => metrics['optimizer/learning_rate']!,
    );
    expect(rates).toBeAllclose([6, 5, 4, 3, 2, 1].map((left) => (5e-3 * left) / 6));
    const rollouts = gunzipSync(readFileSync(join(cut, 'rollouts.jsonl.gz'))).toString();
    expect(rollouts).toBe(gunzipSync(readFileSync(join(uncut, 'rollouts.jsonl.gz'))).toString());
    expect(rollouts.trimEnd().split('\n')).toHaveLength(6 * 16);
  });

  test('tells what it does before and after its iterations, and how far that has come', async () => {
    const settings = createSettings({ iterations: 2, referenceSamples: 130, evaluationSamples: 3, evaluationSeed: 11 });
    const told: string[] = [];
    const telling: TrainingContext = {
      ...context,
      onStage: (stage) => told.push(stage ? `${stage.name} ${stage.done}/${stage.total}` : 'iteration'),
    };
    await trainingRun(createJob(world, world.folder('stages'), settings), telling);
    expect(told).toEqual([
      'reference samples 0/130',
      'reference samples 128/130',
      'evaluation of the start policy 0/3',
      'iteration',
      'iteration',
      'evaluation of the final policy 0/3',
    ]);
  });

  test('with an adapter trains it alone, on one set of weights, and leaves it in the layout of PEFT', async () => {
    const lora = { r: 4, alpha: 16, targetModules: 'all-linear', rslora: false };
    const settings = createSettings({ iterations: 20, learningRate: 3e-2 }, { lora });
    const folder = world.folder('adapter');
    let most = 0;
    const counting: TrainingContext = {
      ...context,
      onIteration: () => (most = Math.max(most, tf.memory().numBytes)),
    };
    const { final } = await trainingRun(createJob(world, folder, settings), counting);
    // The embedding, which is the head too, stays small and bounds what this policy can say.
    expect(Math.abs(final.kl)).toBeGreaterThan(0.05);

    const base = join(world.data, 'base');
    const before = await digestFile(join(base, 'model.safetensors'));
    for (const name of ['model', 'model-best']) {
      expect(readdirSync(join(folder, name)).sort()).toEqual(
        expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json']),
      );
      expect(readdirSync(join(folder, name))).not.toContain('model.safetensors');
      const model = await loadModel(base, { adapter: join(folder, name) });
      expect(trainableParameters(model).size).toBe(8);
      disposeModel(model);
    }
    expect(await digestFile(join(base, 'model.safetensors'))).toBe(before);

    // Without the copy of the policy and its moments: less than a run that trains all weights holds.
    const lora1 = most;
    most = 0;
    await trainingRun(createJob(world, world.folder('no-adapter'), createSettings({ iterations: 1 })), counting);
    const model = await loadModel(base);
    const weightBytes = [...model.parameters.values()].reduce((sum, { size }) => sum + 4 * size, 0);
    disposeModel(model);
    expect(most - lora1).toBeGreaterThan(weightBytes);
    await expect(() => trainingRun(createJob(world, folder, settings), context)).toNotLeakTensors();
  });

  test('goes on from the checkpoint before where the last one is damaged', async () => {
    const [uncut, damaged] = [world.folder('sound'), world.folder('damaged')];
    await trainingRun(createJob(world, uncut), context);
    await trainingRun(createJob(world, damaged), context);
    writeFileSync(join(damaged, 'checkpoints', '0000006.safetensors'), 'torn');
    await trainingRun(createJob(world, damaged), context);
    expect(await essence(damaged)).toEqual(await essence(uncut));
  });

  test('refuses to go on with another ensemble, judge or data, and names them', async () => {
    const folder = world.folder('other');
    const job = createJob(world, folder);
    await trainingRun(job, context);
    const other = { ...job, ensembleDigest: '1'.repeat(64), judgeDigest: null };
    await expect(trainingRun(other, context)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(
        /ensemble was eeeeeeeeeeee and is 111111111111; judge was ffffffffffff and is none/,
      ),
    });
  });

  test('measures the beginning once for runs that begin alike', async () => {
    const asked: number[] = [];
    const counting: TrainingContext = {
      ...context,
      score: async (request) => {
        asked.push(request.rollouts.length);
        return scoreByWords(request);
      },
    };
    const settings = (seed: number) => createSettings({ iterations: 1, evaluationSeed: 77 }, { seed });
    await trainingRun(createJob(world, world.folder('first'), settings(1)), counting);
    // 64 reference samples, 48 initial and 48 final responses, one batch of 16 in chunks of 8.
    expect(asked).toEqual([64, 48, 8, 8, 48]);
    asked.length = 0;
    await trainingRun(createJob(world, world.folder('second'), settings(2)), counting);
    expect(asked).toEqual([8, 8, 48]);
  });

  test('warns where most reference samples are cut, in every run, with share and setting', async () => {
    const warnings: string[] = [];
    const warned = { ...context, warn: (message: string) => void warnings.push(message) };
    const settings = (maxNewTokens: number) => createSettings({ iterations: 1, maxNewTokens });
    await trainingRun(createJob(world, world.folder('cut-a'), settings(2)), warned);
    await trainingRun(createJob(world, world.folder('cut-b'), settings(2)), warned);
    expect(warnings[1]).toMatch(/^\d\d % of .* maxNewTokens = 2/);
    // A run that is resumed says so again, from its checkpoint.
    await trainingRun(createJob(world, join(world.data, '..', 'cut-b'), settings(2)), warned);
    expect(warnings[2]).toBe(warnings[1]);
  });

  test('warns of prompts that are cut', async () => {
    const warnings: string[] = [];
    const warned = { ...context, warn: (message: string) => void warnings.push(message) };
    const settings = createSettings({ iterations: 1, maxNewTokens: 13 });
    await trainingRun(createJob(world, world.folder('cut-prompts'), settings), warned);
    expect(warnings).toContainEqual(expect.stringMatching(/^3 of 4 prompts of prompts\.jsonl lose/));
  });

  test('fails with one clear error where responses do not fit, or the scores do not vary', async () => {
    const long = createJob(world, world.folder('long'), createSettings({ maxNewTokens: 16 }));
    await expect(trainingRun(long, context)).rejects.toThrow('max_new_tokens is 16, but the policy has 16 positions');
    const flat: TrainingContext = {
      ...context,
      score: async (request) => ({
        ...scoreByWords(request),
        members: request.rollouts.map(() => [0, 0, 0]),
      }),
    };
    const job = { ...createJob(world, world.folder('flat')), ensembleDigest: '0'.repeat(64) };
    await expect(trainingRun(job, flat)).rejects.toMatchObject({ kind: 'failed_precondition' });
  });
});
