import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import {
  GenerateRequest,
  PolicyTrainerClient,
  PpoConfig as WirePpoConfig,
  RunConfig,
  RunState,
  type Run,
  type WatchRunResponse,
} from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { digestFile } from '@surefoot/files';
import { callServerStream, callUnary, createClient, createLogger, readConfig } from '@surefoot/service';
import type { RunningService } from '@surefoot/service';
import { inspectTensorflow, type Backend } from '@surefoot/tensor';
import { configSchema } from './config';
import { startPolicyTrainer } from './server';
import { createWorld, smallPpo, writePolicy, type World } from './testing';
import { startService, stopServices, writeEnsemble, type ChildService } from './testing-services';

jest.setTimeout(120_000);

let world: World;
let runs: string;
let scorers: Record<'ensemble' | 'single' | 'judge' | 'otherJudge', ChildService>;
let trainer: RunningService;
let client: PolicyTrainerClient;

const environment = (rest: Record<string, string> = {}) => ({
  SUREFOOT_ADDRESS: '127.0.0.1:0',
  SUREFOOT_RUNS_DIR: runs,
  SUREFOOT_DATA_DIR: world.data,
  SUREFOOT_ENSEMBLE_ADDRESS: scorers.ensemble.address,
  SUREFOOT_JUDGE_ADDRESS: scorers.judge.address,
  SUREFOOT_SCORER_PATIENCE_MS: '60000',
  SUREFOOT_DRAIN_MS: '2000',
  ...rest,
});
const logger = createLogger({ service: 'policy-trainer', version: 'test', level: 'silent' });
const startTrainer = (rest?: Record<string, string>) =>
  startPolicyTrainer(readConfig(configSchema, environment(rest)), logger);

beforeAll(async () => {
  world = await createWorld();
  runs = world.folder('runs');
  const folders = {
    ensemble: await writeEnsemble(world, 'ensemble', 3, 100),
    single: await writeEnsemble(world, 'single', 1, 200),
    judge: await writeEnsemble(world, 'judge', 1, 300),
    otherJudge: await writeEnsemble(world, 'other-judge', 1, 400),
  };
  const scorer = (service: string, folder: string) => startService(service, { SUREFOOT_MODEL: folder });
  const [ensemble, single, judge, otherJudge] = await Promise.all([
    scorer('reward-ensemble', folders.ensemble),
    scorer('reward-ensemble', folders.single),
    scorer('judge', folders.judge),
    scorer('judge', folders.otherJudge),
  ]);
  scorers = { ensemble, single, judge, otherJudge };
  trainer = await startTrainer();
  client = createClient(PolicyTrainerClient, trainer.address);
});
afterAll(async () => {
  client?.close();
  await trainer?.close();
  await stopServices();
  world?.remove();
});

const config = (rest: Partial<RunConfig> = {}, ppo: Partial<WirePpoConfig> = {}) =>
  RunConfig.fromPartial({
    policy: 'base',
    prompts: 'prompts.jsonl',
    seed: 1000n,
    ...rest,
    ppo: WirePpoConfig.fromPartial({ ...(smallPpo as Partial<WirePpoConfig>), ...ppo }),
  });
/** Iterations of a run that is cut at one of its first: it must not end before that is done. */
const long = { iterations: 30 };
const endless = { iterations: 100_000 };
const unary = { deadlineMs: 20_000 };
const start = async (runId: string, of = config(), resume = false, via = client) =>
  (await callUnary(via, 'startRun', { runId, config: of, resume }, unary)).run!;
const get = async (runId: string, via = client) => (await callUnary(via, 'getRun', { runId }, unary)).run!;

async function watch(runId: string, { fromIteration = 0, via = client } = {}): Promise<WatchRunResponse[]> {
  const responses = [];
  for await (const response of callServerStream(via, 'watchRun', { runId, fromIteration }, { deadlineMs: 60_000 }))
    responses.push(response);
  return responses;
}
const lastRun = (responses: WatchRunResponse[]) => responses.at(-1)!.run!;

/** Starts a run and waits for its end. */
async function complete(runId: string, of = config(), resume = false, via = client): Promise<Run> {
  await start(runId, of, resume, via);
  return lastRun(await watch(runId, { via }));
}

const weights = (runId: string) => digestFile(join(runs, runId, 'model', 'model.safetensors'));

/** All that must not differ between a run and its like: everything but times. */
async function essence(runId: string) {
  const folder = join(runs, runId);
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  const record = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8'));
  return {
    weights: await weights(runId),
    best: await digestFile(join(folder, 'model-best', 'model.safetensors')),
    metrics: lines.map((line) =>
      Object.fromEntries(Object.entries(JSON.parse(line)).filter(([name]) => !name.startsWith('time/'))),
    ),
    evaluation: gunzipSync(readFileSync(join(folder, 'evaluation.jsonl.gz'))).toString(),
    record: { ...record, id: '', seconds: 0 },
  };
}

describe('a run', () => {
  test('goes from start to end, can be watched twice, and leaves what its folder promises', async () => {
    const queued = await start('whole', config({}, { iterations: 12 }));
    expect([RunState.RUN_STATE_QUEUED, RunState.RUN_STATE_RUNNING]).toContain(queued.state);
    expect(queued.config!.ppo!.adamBeta2).toBe(0.99);
    const [one, other] = await Promise.all([watch('whole'), watch('whole')]);
    const run = lastRun(one);
    expect(run).toMatchObject({ state: RunState.RUN_STATE_COMPLETED, iteration: 12 });
    expect(run.result!.final!.reward).toBeGreaterThan(0.3);
    expect(run.result!.klTrajectory).toHaveLength(12);
    expect(run.ensemble!.name).toBe('ensemble');
    expect(run.judge!.name).toBe('judge');
    expect(await get('whole')).toEqual(run);

    const iterations = (responses: WatchRunResponse[]) => responses.flatMap(({ iteration }) => iteration || []);
    expect(iterations(one)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(iterations(other)).toEqual(iterations(one));
    expect(one.map((response) => response.run?.stage?.name)).toContain('evaluation of the final policy');
    expect(run.stage).toBeUndefined();
    const replay = await watch('whole', { fromIteration: 11 });
    expect(iterations(replay)).toEqual([11, 12]);
    expect(replay.find(({ iteration }) => iteration === 11)!.metrics).toEqual(
      one.find(({ iteration }) => iteration === 11)!.metrics,
    );
    expect(readdirSync(join(runs, 'whole')).sort()).toEqual([
      ...['checkpoints', 'config.json', 'evaluation.jsonl.gz', expect.stringMatching(/^events\.out\.tfevents\.\d+\./)],
      ...['metrics.jsonl', 'model', 'model-best', 'run.json'],
    ]);
  });

  test('twice the same gives the same, another judge changes no weight', async () => {
    await complete('same-a');
    await complete('same-b');
    await complete('judged', config({ judgeAddress: scorers.otherJudge.address }));
    await complete('unjudged', config({ judgeAddress: 'none' }));
    expect(await essence('same-b')).toEqual(await essence('same-a'));
    expect((await get('judged')).result!.final!.judge).not.toBe((await get('same-a')).result!.final!.judge);
    expect((await get('unjudged')).judge).toBeUndefined();
    for (const id of ['judged', 'unjudged']) expect(await weights(id)).toBe(await weights('same-a'));
  });

  test('with one member runs in a mode that needs no variance', async () => {
    const run = await complete('single', config({ mode: 'vanilla', ensembleAddress: scorers.single.address }));
    expect(run.state).toBe(RunState.RUN_STATE_COMPLETED);
  });

  test('waits for those before it; queued and running ones can be cancelled, ended ones cannot', async () => {
    await start('long', config({}, endless));
    await start('waiting', config());
    await start('unwanted', config());
    await until(async () => (await get('long')).iteration > 0);
    expect((await get('waiting')).state).toBe(RunState.RUN_STATE_QUEUED);
    const cancel = async (runId: string) => (await callUnary(client, 'cancelRun', { runId }, unary)).run!.state;
    expect(await cancel('unwanted')).toBe(RunState.RUN_STATE_CANCELLED);
    const watching = watch('long');
    await cancel('long');
    expect(lastRun(await watching).state).toBe(RunState.RUN_STATE_CANCELLED);
    expect(lastRun(await watch('waiting')).state).toBe(RunState.RUN_STATE_COMPLETED);
    expect(await cancel('unwanted')).toBe(RunState.RUN_STATE_CANCELLED);
    await expect(cancel('waiting')).rejects.toMatchObject({ kind: 'failed_precondition' });
    await expect(cancel('nothing')).rejects.toMatchObject({ kind: 'not_found' });
    const { runs: all } = await callUnary(client, 'listRuns', {}, unary);
    const state = new Map(all.map((run) => [run.id, run.state]));
    expect(state.get('unwanted')).toBe(RunState.RUN_STATE_CANCELLED);
    expect(all.findIndex(({ id }) => id === 'waiting')).toBeLessThan(all.findIndex(({ id }) => id === 'long'));
  });

  test('can be resumed as soon as its watcher hears that it was cancelled', async () => {
    await start('again', config({}, endless));
    await until(async () => (await get('again')).iteration > 0);
    await callUnary(client, 'cancelRun', { runId: 'again' }, unary);
    for await (const { run } of callServerStream(client, 'watchRun', { runId: 'again', fromIteration: 0 }, unary))
      if (run?.state === RunState.RUN_STATE_CANCELLED) break;
    const resumed = await start('again', config({}, endless), true);
    expect([RunState.RUN_STATE_QUEUED, RunState.RUN_STATE_RUNNING]).toContain(resumed.state);
    await callUnary(client, 'cancelRun', { runId: 'again' }, unary);
    await watch('again');
  });

  test('that is cancelled can be resumed and ends as if it had not been', async () => {
    await complete('uncut', config({}, long));
    await start('cut', config({}, long));
    await until(async () => (await get('cut')).iteration >= 2);
    await callUnary(client, 'cancelRun', { runId: 'cut' }, unary);
    expect(lastRun(await watch('cut')).state).toBe(RunState.RUN_STATE_CANCELLED);
    await complete('cut', config({}, long), true);
    expect(await essence('cut')).toEqual(await essence('uncut'));
  });

  test('that failed before its first checkpoint is made anew with other settings, with or without resume', async () => {
    const wrong = config({ lora: { r: 2, targetModules: ['nope'], targetPattern: '', rslora: false } });
    for (const resume of [false, true]) {
      const failed = await complete('anew', wrong, resume);
      expect(failed).toMatchObject({
        state: RunState.RUN_STATE_FAILED,
        error: { message: expect.stringContaining('target_modules names no module') },
      });
    }
    const short = config({}, { iterations: 1 });
    expect((await complete('anew', short)).state).toBe(RunState.RUN_STATE_COMPLETED);
    await expect(start('anew', short)).rejects.toMatchObject({ kind: 'already_exists' });
  });

  test('tells its watchers, and run.json, that most responses are cut; it says where it lies', async () => {
    const cut = config({}, { iterations: 1, maxNewTokens: 2 });
    await start('short', cut);
    const seen = await watch('short');
    const warnings = [expect.stringMatching(/^\d\d % of .* maxNewTokens = 2: set/)];
    expect(lastRun(seen)).toMatchObject({ state: RunState.RUN_STATE_COMPLETED, warnings, folder: join(runs, 'short') });
    expect(existsSync(join(lastRun(seen).folder, 'model', 'model.safetensors'))).toBe(true);
    expect(JSON.parse(readFileSync(join(runs, 'short', 'run.json'), 'utf8'))).toMatchObject({ warnings });
    expect(await get('short')).toMatchObject({ warnings });
  });

  test('fails when no scorer answers, and goes on when one does', async () => {
    const impatient = await startTrainer({ SUREFOOT_SCORER_PATIENCE_MS: '1000' });
    const via = createClient(PolicyTrainerClient, impatient.address);
    const failed = await complete('orphan', config({ ensembleAddress: '127.0.0.1:9' }), false, via);
    via.close();
    await impatient.close();
    expect(failed).toMatchObject({
      state: RunState.RUN_STATE_FAILED,
      error: { code: 14, message: expect.stringContaining('127.0.0.1:9') },
    });
    expect((await complete('orphan', config(), true)).state).toBe(RunState.RUN_STATE_COMPLETED);
    expect(await essence('orphan')).toEqual(await essence('same-a'));
  });

  test('survives the death of one of two replicas without a changed bit', async () => {
    const replica = () => startService('reward-ensemble', { SUREFOOT_MODEL: join(world.data, 'ensemble') });
    const [one, other] = await Promise.all([replica(), replica()]);
    await start('replicas', config({ ensembleAddress: `${one.address},${other.address}` }, long));
    await until(async () => (await get('replicas')).iteration >= 2);
    await one.stop('SIGKILL');
    expect((await get('replicas')).state).toBe(RunState.RUN_STATE_RUNNING);
    expect(lastRun(await watch('replicas')).state).toBe(RunState.RUN_STATE_COMPLETED);
    await other.stop('SIGKILL');
    expect(await essence('replicas')).toEqual(await essence('uncut'));
  });
});

describe('bad requests', () => {
  const cases: [string, Partial<RunConfig>, Partial<WirePpoConfig>, string, RegExp][] = [
    ['no policy', { policy: '' }, {}, 'invalid_argument', /policy/],
    ['a missing policy', { policy: 'bose' }, {}, 'not_found', /policy: bose does not exist/],
    ['a missing file', { evalPrompts: 'none.jsonl' }, {}, 'not_found', /eval_prompts: none.jsonl/],
    ['a path outside', { prompts: '../runs/whole/config.json' }, {}, 'invalid_argument', /outside the data directory/],
    ['a link to outside', { prompts: 'sneaky.jsonl' }, {}, 'invalid_argument', /outside the data directory/],
    ['a file for a folder', { policy: 'prompts.jsonl' }, {}, 'invalid_argument', /not a folder/],
    ['NaN', {}, { learningRate: Number.NaN, klTarget: -1 }, 'invalid_argument', /learningRate.*klTarget/],
    ['a batch that does not divide', {}, { minibatchSize: 5 }, 'invalid_argument', /minibatchSize 5/],
    ['an unknown mode', { mode: 'brave' }, {}, 'invalid_argument', /mode must be one of/],
    ['an unknown reward', { reward: 'luck' }, {}, 'invalid_argument', /reward must be one of/],
    ['a member too many', { member: 3 }, {}, 'invalid_argument', /member 3/],
    ['a huge seed', { seed: 2n ** 63n }, {}, 'invalid_argument', /seed/],
    ['no address', { ensembleAddress: 'nowhere' }, {}, 'invalid_argument', /ensemble_address/],
    ['a port too many', { judgeAddress: '127.0.0.1:70000' }, {}, 'invalid_argument', /judge_address/],
  ];
  test.each(cases)('%s is refused and leaves no folder', async (_, rest, ppo, kind, message) => {
    if (!existsSync(join(world.data, 'sneaky.jsonl')))
      symlinkSync(join(runs, 'whole', 'metrics.jsonl'), join(world.data, 'sneaky.jsonl'));
    await expect(start('refused', config(rest, ppo))).rejects.toMatchObject({
      kind,
      message: expect.stringMatching(message),
    });
    expect(existsSync(join(runs, 'refused'))).toBe(false);
  });

  test('a variance asked of one member is refused', async () => {
    await expect(start('refused', config({ ensembleAddress: scorers.single.address }))).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringContaining('one member has no variance'),
    });
  });

  test('names that are no names, and names that are taken', async () => {
    for (const id of ['../x', 'A', 'a'.repeat(64)])
      await expect(start(id)).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(start('whole')).rejects.toMatchObject({ kind: 'already_exists' });
    await expect(get('../runs')).rejects.toMatchObject({ kind: 'invalid_argument' });
    await expect(get('nothing')).rejects.toMatchObject({ kind: 'not_found' });
    await expect(watch('nothing')).rejects.toMatchObject({ kind: 'not_found' });
  });

  test('a resume with other settings names them; of a completed run it gives the run', async () => {
    await expect(start('same-a', config({ seed: 5n }, { beta: 0.3 }), true)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(/seed: 1000 → 5; beta: 0.2 → 0.3/),
    });
    expect((await start('same-a', config(), true)).state).toBe(RunState.RUN_STATE_COMPLETED);
  });

  test('files that are no prompts or no model fail the run with file and reason, and the trainer lives', async () => {
    writeFileSync(join(world.data, 'broken.jsonl'), '{"prompt": "is it ?"}\n{"prompt": 3}\n');
    mkdirSync(join(world.data, 'hollow'));
    const broken = await complete('broken', config({ prompts: 'broken.jsonl' }));
    expect(broken.error).toMatchObject({ code: 3, message: expect.stringMatching(/broken.jsonl line 2/) });
    const hollow = await complete('hollow', config({ policy: 'hollow' }));
    expect(hollow.error).toMatchObject({ code: 5, message: expect.stringContaining('config.json') });
    expect((await complete('after')).state).toBe(RunState.RUN_STATE_COMPLETED);
  });
});

describe('Generate', () => {
  const generate = async (request: Partial<GenerateRequest>, via = client) => {
    const responses = [];
    const full = GenerateRequest.fromPartial({ prompts: ['is it ?', 'soup'], maxNewTokens: 5, ...request });
    for await (const response of callServerStream(via, 'generate', full, { deadlineMs: 20_000 }))
      responses.push(response);
    return responses.sort((a, b) => a.index - b.index);
  };

  test('answers every prompt, the same for the same seed, from a folder or from a run', async () => {
    const first = await generate({ policy: 'base', temperature: 1, seed: 3n });
    expect(first.map(({ index }) => index)).toEqual([0, 1]);
    expect(await generate({ policy: 'base', temperature: 1, seed: 3n })).toEqual(first);
    expect(await generate({ runId: 'whole', temperature: 1, seed: 3n })).not.toEqual(first);
    expect(await generate({ policy: 'base', seed: 1n })).toEqual(await generate({ policy: 'base', seed: 2n }));
  });

  const { folder, problem } = inspectTensorflow();
  const backendsIn = (log: string[]) =>
    log.flatMap((line) => {
      const { msg, backend } = JSON.parse(line) as { msg: string; backend: Backend };
      return msg === 'backend opened' ? [backend] : [];
    });

  (problem === undefined ? test : test.skip)(
    'auto chooses by the size of each policy, and the log says what and why',
    async () => {
      await writePolicy(world, 'large', 192); // 0.44 M parameters
      const child = await startService('policy-trainer', environment({ SUREFOOT_TENSORFLOW_DIR: folder }));
      const via = createClient(PolicyTrainerClient, child.address);
      const backends = () => backendsIn(child.log);
      try {
        await generate({ policy: 'base' }, via);
        await until(async () => backends().length >= 2);
        expect(backends().map(({ name }) => name)).toEqual(['wasm', 'wasm']);
        expect(backends()[0]!.reason).toContain(
          'not tensorflow: gains from 0.3 M parameters, and the model is not known',
        );
        await generate({ policy: 'large' }, via);
        await generate({ policy: 'large' }, via);
        await generate({ policy: 'base' }, via);
        const names = ['wasm', 'wasm', 'tensorflow', 'wasm'];
        await until(async () => backends().length >= names.length);
        expect(backends().map(({ name }) => name)).toEqual(names);
        expect(backends()[2]!.reason).toMatch(/^auto: tuned kernels on .*; not wasm: slower for such a model$/);
        expect(backends()[3]!.reason).toContain('and the model has 0.0038 M;');
      } finally {
        via.close();
        await child.stop();
      }
    },
  );

  test('auto does not try again for every policy what has failed to open', async () => {
    await writePolicy(world, 'large-too', 192);
    const broken = join(world.data, 'broken-tensorflow');
    const files = [
      'tfjs_binding.node',
      'tensorflow_settings.node',
      ...['cc', 'framework'].map((name) => `tensorflow/libtensorflow_${name}.so.2`),
    ];
    mkdirSync(join(broken, 'tensorflow'), { recursive: true });
    for (const file of files) writeFileSync(join(broken, file), 'text');
    const manifest = {
      ...{ tensorflow: '2.21.0', kind: 'cpu', platform: `${process.platform}-${process.arch}`, glibc: '2.27' },
      files: Object.fromEntries(files.map((file) => [file, { bytes: 4 }])),
    };
    writeFileSync(join(broken, 'manifest.json'), JSON.stringify(manifest));
    const child = await startService('policy-trainer', environment({ SUREFOOT_TENSORFLOW_DIR: broken }));
    const via = createClient(PolicyTrainerClient, child.address);
    try {
      for (let i = 0; i < 3; i += 1) await generate({ policy: 'large-too' }, via);
      await generate({ policy: 'base' }, via);
      await until(async () => backendsIn(child.log).length >= 4);
      const reasons = backendsIn(child.log).map(({ reason }) => /native TensorFlow does not load/.test(reason));
      expect(reasons).toEqual([false, false, true, false]);
    } finally {
      via.close();
      await child.stop();
    }
  });

  test.each<[string, Partial<GenerateRequest>, string]>([
    ['no prompts', { policy: 'base', prompts: [] }, 'invalid_argument'],
    ['an empty prompt', { policy: 'base', prompts: [''] }, 'invalid_argument'],
    ['an unknown word', { policy: 'base', prompts: ['xylophone'] }, 'invalid_argument'],
    ['a temperature below 0', { policy: 'base', temperature: -1 }, 'invalid_argument'],
    ['more tokens than positions', { policy: 'base', maxNewTokens: 100 }, 'invalid_argument'],
    ['a missing model', { policy: 'nothing' }, 'not_found'],
    ['a run without a model', { runId: 'broken' }, 'not_found'],
    ['a path outside', { policy: '../../etc' }, 'invalid_argument'],
  ])('%s is refused', async (_, request, kind) => {
    await expect(generate(request)).rejects.toMatchObject({ kind });
  });
});

describe('a trainer process', () => {
  test('killed in a run of an adapter, goes on and ends with the same bytes; its adapter answers', async () => {
    const lora = { r: 2, targetModules: [], targetPattern: '.*c_(attn|proj)', rslora: true };
    const adapted = config({ lora }, long);
    expect((await complete('adapter', adapted)).state).toBe(RunState.RUN_STATE_COMPLETED);
    for (const iteration of [1, 7]) {
      const child = await startService('policy-trainer', environment());
      const via = createClient(PolicyTrainerClient, child.address);
      await start('adapter-killed', adapted, true, via);
      await until(async () => (await get('adapter-killed', via)).iteration >= iteration);
      await child.stop('SIGKILL');
      via.close();
      expect((await get('adapter-killed')).state).toBe(RunState.RUN_STATE_INTERRUPTED);
    }
    await complete('adapter-killed', adapted, true);
    for (const folder of ['model', 'model-best']) {
      const digest = (id: string) => digestFile(join(runs, id, folder, 'adapter_model.safetensors'));
      expect(await digest('adapter-killed')).toBe(await digest('adapter'));
    }
    const answer = async (request: Partial<GenerateRequest>) => {
      const full = GenerateRequest.fromPartial({ prompts: ['is it ?'], maxNewTokens: 6, ...request });
      const texts = [];
      for await (const { response } of callServerStream(client, 'generate', full, { deadlineMs: 20_000 }))
        texts.push(response);
      return texts;
    };
    expect(await answer({ runId: 'adapter', temperature: 1 })).toEqual(
      await answer({ runId: 'adapter-killed', temperature: 1 }),
    );
    await expect(start('adapter', config({ lora: { ...lora, r: 3 } }), true)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(/lora: /),
    });
  });

  test('killed at any instant, the run goes on and ends with the same bytes', async () => {
    const longer = config({ keepRollouts: true }, { iterations: 60 });
    await complete('never-killed', longer);
    for (const [attempt, delayMs] of [400, 700, 550, 800, 650].entries()) {
      const child = await startService('policy-trainer', environment());
      const via = createClient(PolicyTrainerClient, child.address);
      const resumed = await start('killed', longer, true, via);
      expect(resumed.state).not.toBe(RunState.RUN_STATE_COMPLETED);
      // Instants from the reference samples to iteration 16, far from the last; the delays hit the middle of one.
      if (attempt > 0) await until(async () => (await get('killed', via)).iteration >= attempt * 4);
      else await new Promise((resolve) => setTimeout(resolve, delayMs / 10));
      await new Promise((resolve) => setTimeout(resolve, delayMs / 100));
      await child.stop('SIGKILL');
      via.close();
      expect(existsSync(join(runs, 'killed', 'run.json'))).toBe(false);
      expect((await get('killed')).state).toBe(RunState.RUN_STATE_INTERRUPTED);
    }
    await complete('killed', longer, true);
    expect(await essence('killed')).toEqual(await essence('never-killed'));
    const rollouts = (id: string) => gunzipSync(readFileSync(join(runs, id, 'rollouts.jsonl.gz'))).toString();
    expect(rollouts('killed')).toBe(rollouts('never-killed'));
  });

  test('ends with status 0 on SIGTERM in the middle of a run, which another process may resume at once', async () => {
    const child = await startService('policy-trainer', environment());
    const via = createClient(PolicyTrainerClient, child.address);
    await start('terminated', config({}, endless), false, via);
    await until(async () => (await get('terminated', via)).iteration >= 2);
    await expect(start('terminated', config({}, endless), true)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringContaining('another process works on'),
    });
    expect((await get('terminated')).state).toBe(RunState.RUN_STATE_RUNNING);
    const watching = watch('terminated', { via });
    expect(await child.stop('SIGTERM')).toBe(0);
    via.close();
    await watching.catch(() => undefined);
    const { iteration } = await start('terminated', config({}, endless), true);
    expect(iteration).toBeGreaterThanOrEqual(2);
    await until(async () => (await get('terminated')).iteration > iteration);
    await callUnary(client, 'cancelRun', { runId: 'terminated' }, unary);
    await watch('terminated');
  });

  test('that cannot have its runs directory, its port or its backend says so in one line and ends with status 1', async () => {
    const start = (rest: Record<string, string>) => startService('policy-trainer', environment(rest));
    await expect(start({ SUREFOOT_RUNS_DIR: join(world.data, 'prompts.jsonl') })).rejects.toThrow(
      /status 1.*is a file where a folder is needed/s,
    );
    await expect(start({ SUREFOOT_ADDRESS: trainer.address })).rejects.toThrow(
      /status 1.*another process uses that port/s,
    );
    const nowhere = { SUREFOOT_BACKEND: 'tensorflow', SUREFOOT_TENSORFLOW_DIR: join(world.data, 'nothing') };
    await expect(start(nowhere)).rejects.toThrow(
      /status 1.*policy-trainer: backend tensorflow: native TensorFlow is not installed; run npm run install:tensorflow$/s,
    );
    await expect(start({ SUREFOOT_BACKEND: 'wasm', SUREFOOT_REQUIRE_GPU: '1' })).rejects.toThrow(
      /status 1.*a GPU is required, and wasm computes on the CPU/s,
    );
  });

  test('whose disk is full fails the run, writes no half file, and goes on when there is room', async () => {
    const disk = world.folder('disk');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', disk]).status !== 0)
      return console.warn('SKIPPED: no small file system can be mounted here');
    const full = await startTrainer({ SUREFOOT_RUNS_DIR: disk });
    const via = createClient(PolicyTrainerClient, full.address);
    try {
      const ballast = join(disk, 'ballast');
      await start('full', config({}, long), false, via);
      await until(async () => (await get('full', via)).iteration >= 1);
      expect(() => writeFileSync(ballast, Buffer.alloc(2 ** 20))).toThrow('ENOSPC');
      const failed = lastRun(await watch('full', { via }));
      expect(failed).toMatchObject({
        state: RunState.RUN_STATE_FAILED,
        error: { code: 8, message: expect.stringContaining('the disk is full') },
      });
      rmSync(ballast);
      expect((await complete('full', config({}, long), true, via)).state).toBe(RunState.RUN_STATE_COMPLETED);
      expect(await digestFile(join(disk, 'full', 'model', 'model.safetensors'))).toBe(await weights('uncut'));
    } finally {
      via.close();
      await full.close();
      spawnSync('umount', [disk]);
    }
  });

  test('whose run cannot be written fails the run with the reason and goes on serving', async () => {
    await start('blocked', config({}, endless));
    await until(async () => (await get('blocked')).iteration > 0);
    rmSync(join(runs, 'blocked', 'checkpoints'), { recursive: true });
    const run = lastRun(await watch('blocked'));
    expect(run.state).toBe(RunState.RUN_STATE_FAILED);
    expect(run.error!.message).toContain('checkpoints');
    expect((await complete('after-blocked')).state).toBe(RunState.RUN_STATE_COMPLETED);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited for a minute');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
