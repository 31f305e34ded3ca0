import { existsSync, readFileSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { start, expectDone, surefoot, timelessRuns, tinyQuickstart, until, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const at = (...path: string[]) => join(work.path, ...path);
const iterations = 12;
const experiment = {
  name: 'resume',
  policy: 'quick/task/base',
  blocks: [{ name: 'a', ensemble: 'quick/ensemble' }],
  judge: 'quick/judge',
  gold: 'quick/task/gold.json',
  prompts: 'quick/task/prompts.jsonl',
  methods: ['vanilla', 'uwo'],
  runs: 1,
  ppo: { iterations, referenceSamples: 64, evaluationSamples: 64 },
};
const run = (out: string, ...more: string[]) => [
  'experiment',
  'run',
  '--config',
  'experiment.yaml',
  '--workers',
  '1',
  '--out',
  out,
  ...more,
];

beforeAll(async () => {
  work = await workFolder();
  expectDone(await surefoot([...tinyQuickstart, '--out', 'quick'], { cwd: work.path }));
  await writeFile(at('experiment.yaml'), stringify(experiment));
  expectDone(await surefoot(run('whole'), { cwd: work.path }));
}, 300_000);
afterAll(() => work.remove());

/** Iterations that a run of an experiment has finished. */
function finished(out: string, id = 'vanilla-a-0'): number {
  const path = at(out, 'runs', id, 'metrics.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
}

/** How far the reward models are apart on an experiment's responses, as its folder has it. */
const disagreement = (out: string) => readFileSync(at(out, 'disagreement', 'a.json'), 'utf8');

/** Kills the trainer that a pid file names. */
function killTrainer(out: string): void {
  const { children } = JSON.parse(readFileSync(at(out, 'surefoot.pid'), 'utf8')) as {
    children: { name: string; pid: number }[];
  };
  process.kill(children.findLast(({ name }) => name === 'trainer-1')!.pid, 'SIGKILL');
}

describe('a start that failed', () => {
  const lora = { r: 2, targetModules: ['nope'] };
  const single = { ...experiment, ensemble: 'quick/ensemble', blocks: undefined, methods: undefined, runs: undefined };

  test('binds no folder: the corrected run starts anew in it', async () => {
    await writeFile(at('wrong.yaml'), stringify({ ...single, lora }));
    await writeFile(at('right.yaml'), stringify({ ...single, ppo: { ...single.ppo, iterations: 1 } }));
    const train = (file: string) => surefoot(['train', '--config', file, '--out', 'single'], { cwd: work.path });
    expect((await train('wrong.yaml')).stderr).toContain('target_modules names no module');
    expectDone(await train('right.yaml'));
    expect((await train('right.yaml')).stderr).toContain('holds this run already');
  }, 60_000);

  test('binds no experiment either', async () => {
    await writeFile(at('wrong.yaml'), stringify({ ...experiment, lora }));
    await writeFile(at('right.yaml'), stringify({ ...experiment, ppo: { ...experiment.ppo, iterations: 1 } }));
    const words = ['experiment', 'run', '--out', 'corrected', '--workers', '1', '--config'];
    expect((await surefoot([...words, 'wrong.yaml'], { cwd: work.path })).stderr).toContain('all 2 runs failed');
    expectDone(await surefoot([...words, 'right.yaml'], { cwd: work.path }));
    expect((await timelessRuns(at('corrected'))).match(/"status":"completed","iterations":1,/g)).toHaveLength(2);
  }, 60_000);
});

describe('an experiment', () => {
  test('whose trainer is killed goes on by itself, to the same bytes', async () => {
    const running = start(run('killed'), { cwd: work.path });
    await until(() => finished('killed') >= 3, running);
    killTrainer('killed');
    expectDone(await running.ended);
    expect(await timelessRuns(at('killed'))).toBe(await timelessRuns(at('whole')));
    const weights = (out: string) => readFileSync(at(out, 'runs', 'uwo-a-0', 'model', 'model.safetensors'));
    expect(weights('killed').equals(weights('whole'))).toBe(true);
    expect(disagreement('killed')).toBe(disagreement('whole'));
  }, 180_000);

  test('that is killed with all it started ends the same after --resume', async () => {
    const running = start(run('crashed'), { cwd: work.path });
    await until(() => finished('crashed') >= 3, running);
    killTrainer('crashed');
    running.child.kill('SIGKILL');
    await running.ended;
    const refused = await surefoot(run('crashed'), { cwd: work.path });
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain('--resume');
    expectDone(await surefoot(run('crashed', '--resume'), { cwd: work.path }));
    expect(await timelessRuns(at('crashed'))).toBe(await timelessRuns(at('whole')));
  }, 180_000);

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'that gets %s ends with 130, keeps what is finished, leaves no process and ends the same after --resume',
    async (signal) => {
      const out = `stopped-${signal}`;
      const running = start(run(out), { cwd: work.path });
      await until(() => finished(out) >= 2, running);
      running.child.kill(signal);
      const ended = await running.ended;
      expect(ended).toMatchObject({ status: 130, stdout: '' });
      expect(ended.stderr.trimEnd().split('\n').at(-1)).toContain('--resume');
      expect(existsSync(at(out, 'surefoot.pid'))).toBe(false);
      expect(finished(out)).toBeGreaterThanOrEqual(2);
      expectDone(await surefoot(run(out, '--resume'), { cwd: work.path }));
      expect(await timelessRuns(at(out))).toBe(await timelessRuns(at('whole')));
    },
    180_000,
  );

  test('is ended from outside by stop', async () => {
    await writeFile(at('endless.yaml'), stringify({ ...experiment, ppo: { ...experiment.ppo, iterations: 100_000 } }));
    const words = ['experiment', 'run', '--config', 'endless.yaml', '--workers', '1', '--out', 'outside'];
    const running = start(words, { cwd: work.path });
    await until(() => finished('outside') >= 1, running);
    expectDone(await surefoot(['stop', '--out', 'outside'], { cwd: work.path }));
    expect((await running.ended).status).toBe(130);
    expect(existsSync(at('outside', 'surefoot.pid'))).toBe(false);
  }, 120_000);

  test('done index by index at once, in one folder, has the runs of one done by one command', async () => {
    const words = ['experiment', 'index', '--config', 'experiment.yaml', '--out', 'indexed', '--index'];
    const ended = await Promise.all(['1', '0'].map((index) => surefoot([...words, index], { cwd: work.path })));
    ended.forEach(expectDone);
    expect(await timelessRuns(at('indexed'))).toBe(await timelessRuns(at('whole')));
    expectDone(await surefoot(['report', 'indexed'], { cwd: work.path }));
    expect(await timelessRuns(at('indexed'))).toBe(await timelessRuns(at('whole')));
    expect(disagreement('indexed')).toBe(disagreement('whole'));
  }, 180_000);

  test('that ended before its reward models were compared compares them at --resume, once', async () => {
    await cp(at('whole'), at('uncompared'), { recursive: true });
    await rm(at('uncompared', 'disagreement'), { recursive: true });
    await rm(at('uncompared', 'logs'), { recursive: true });
    // What reward disagree leaves in the folder hinders neither that nor the report.
    await writeFile(at('uncompared', 'disagreement.json'), '{"texts": []}');
    expectDone(await surefoot(run('uncompared', '--resume'), { cwd: work.path }));
    expect(disagreement('uncompared')).toBe(disagreement('whole'));
    expect(await timelessRuns(at('uncompared'))).toBe(await timelessRuns(at('whole')));
    await rm(at('uncompared', 'logs'), { recursive: true });
    expectDone(await surefoot(run('uncompared', '--resume'), { cwd: work.path }));
    expect(existsSync(at('uncompared', 'logs'))).toBe(false);
  }, 120_000);

  test('whose start has failed may begin with another configuration', async () => {
    await writeFile(at('wrong.yaml'), stringify({ ...experiment, judge: 'quick/ensemble' }));
    const failed = await surefoot(['experiment', 'run', '--config', 'wrong.yaml', '--out', 'mended'], {
      cwd: work.path,
    });
    expect(failed).toMatchObject({ status: 1, stdout: '' });
    await writeFile(at('short.yaml'), stringify({ ...experiment, ppo: { ...experiment.ppo, iterations: 1 } }));
    const words = ['experiment', 'run', '--config', 'short.yaml', '--out', 'mended'];
    expectDone(await surefoot(words, { cwd: work.path }));
    expect((await timelessRuns(at('mended'))).match(/"status":"completed","iterations":1,/g)).toHaveLength(2);
  }, 180_000);

  test('with other values than the folder holds is not resumed', async () => {
    await cp(at('whole'), at('copy'), { recursive: true });
    await writeFile(at('other.yaml'), stringify({ ...experiment, seed: 5 }));
    const words = ['experiment', 'run', '--config', 'other.yaml', '--out', 'copy', '--resume'];
    const ended = await surefoot(words, { cwd: work.path });
    expect(ended).toMatchObject({ status: 1, stdout: '' });
    expect(ended.stderr).toContain('other values of seed');
    const elsewhere = await surefoot(run('copy', '--resume', '--backend', 'cpu'), { cwd: work.path });
    expect(elsewhere).toMatchObject({ status: 1, stdout: '' });
    expect(elsewhere.stderr).toContain('other values of backend (wasm (relaxed-simd), now cpu (plain)):');
  }, 60_000);
});

describe('reward train', () => {
  test('that is interrupted goes on with the members that are missing, to the same bytes', async () => {
    const train = (out: string) => [
      ...['reward', 'train', '--like', 'quick/task/member-config.json', '--tokenizer', 'quick/task/base'],
      ...['--init', 'quick/task/member-init.json', '--pairs', 'quick/task/pairs.jsonl', '--members', '6'],
      ...['--name', 'six', '--out', out],
    ];
    const running = start(train('interrupted'), { cwd: work.path });
    await until(() => existsSync(at('interrupted', 'member-0')), running);
    // Or it might be done before the second has begun.
    running.child.kill('SIGSTOP');
    const second = await surefoot(train('interrupted'), { cwd: work.path });
    expect(second).toMatchObject({ status: 1, stdout: '' });
    expect(second.stderr).toContain(`in use by process ${running.child.pid}`);
    running.child.kill('SIGINT');
    running.child.kill('SIGCONT');
    expect(await running.ended).toMatchObject({ status: 130, stdout: '' });
    expect(existsSync(at('interrupted', 'ensemble.json'))).toBe(false);
    expectDone(await surefoot(train('interrupted'), { cwd: work.path }));
    expectDone(await surefoot(train('uninterrupted'), { cwd: work.path }));
    const content = (out: string) => ({
      ...(JSON.parse(readFileSync(at(out, 'ensemble.json'), 'utf8')) as object),
      created: '',
    });
    expect(content('interrupted')).toEqual(content('uninterrupted'));
  }, 180_000);
});

test('a command that only computes ends at Ctrl-C, not when it is done', async () => {
  const ids = Array.from({ length: 24 }, (_, i) => i);
  const input = Array.from({ length: 20_000 }, (_, id) => `${JSON.stringify({ id: String(id), ids })}\n`).join('');
  const env = { SUREFOOT_LOG_LEVEL: 'debug' };
  const running = start(['logprobs', '--model', 'quick/task/base', '--in', '-'], { cwd: work.path, input, env });
  await until(() => running.stderr().includes('kernels'), running);
  running.child.kill('SIGINT');
  expect(await running.ended).toMatchObject({ status: null, stdout: '' });
  expect(running.child.signalCode).toBe('SIGINT');
});
