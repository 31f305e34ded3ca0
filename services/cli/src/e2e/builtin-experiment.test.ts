import { existsSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RiskReport } from '@surefoot/risk';
import { stringify } from 'yaml';
import { expectDone, surefoot, timelessRuns, workFolder } from './testing';

const experiment = {
  name: 'tiny',
  builtinTask: { dataSeeds: [11, 12], members: 2, baseSteps: 20, judgePairs: 64, pairs: 40 },
  methods: ['vanilla', 'variance-weighted-kl'],
  runs: 1,
  ppo: { iterations: 2, referenceSamples: 64, evaluationSamples: 64, weightClamp: [0, 'none'] },
};

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
  await writeFile(join(work.path, 'tiny.yaml'), stringify(experiment));
});
afterAll(() => work.remove());

const run = (...words: string[]) =>
  surefoot(['experiment', ...words, '--config', 'tiny.yaml', '--backend', 'wasm'], { cwd: work.path });

test('an experiment on the built-in task makes it, an ensemble a data seed, and runs a block of each', async () => {
  expectDone(await run('run', '--out', 'whole', '--workers', '1'));
  const lines = (await readFile(join(work.path, 'whole/runs.jsonl'), 'utf8')).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line)).map(({ method, block, status }) => [method, block, status])).toEqual([
    ['vanilla', 'data-11', 'completed'],
    ['variance-weighted-kl', 'data-11', 'completed'],
    ['vanilla', 'data-12', 'completed'],
    ['variance-weighted-kl', 'data-12', 'completed'],
  ]);
  const pairs = await Promise.all(
    ['task/pairs.jsonl', 'pairs-12.jsonl'].map((file) => readFile(join(work.path, 'whole', file), 'utf8')),
  );
  expect(pairs[0]).not.toBe(pairs[1]);
  // An experiment may have more ensembles than fit in memory: one is stopped before the next is started.
  const log = async (block: string) => readFile(join(work.path, `whole/logs/ensemble-${block}.log`), 'utf8');
  const [first, second] = await Promise.all(['data-11', 'data-12'].map(log));
  expect(timeOf('stopped', first!)).toBeLessThan(timeOf('starting', second!));
}, 120_000);

/** When a service logged a message first, ms since 1970. */
function timeOf(message: string, log: string): number {
  const lines = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; time: number });
  return lines.find(({ msg }) => msg === message)?.time ?? NaN;
}

test('runs by index do not make the task, and give the same runs once it is there', async () => {
  const early = await run('index', '--out', 'indexed', '--index', '0');
  expect(early.status).toBe(1);
  expect(early.stderr).toContain('make it first with surefoot experiment run --prepare-only');
  // The task may lie elsewhere, for other experiments too.
  const there = ['--task-dir', 'shared', '--out', 'indexed'];
  expectDone(await run('run', ...there, '--prepare-only'));
  expect(existsSync(join(work.path, 'indexed'))).toBe(false);
  for (const index of ['0', '1', '2', '3']) expectDone(await run('index', ...there, '--index', index));
  expect(await timelessRuns(join(work.path, 'indexed'))).toBe(await timelessRuns(join(work.path, 'whole')));
}, 180_000);

test('a run by index on a task of other settings is refused, and writes nothing', async () => {
  const { builtinTask } = experiment;
  await writeFile(
    join(work.path, 'even.yaml'),
    stringify({ ...experiment, builtinTask: { ...builtinTask, coverage: 'even' } }),
  );
  const index = ['experiment', 'index', '--out', 'even', '--task-dir', 'whole', '--index', '0', '--config'];
  const even = await surefoot([...index, 'even.yaml'], { cwd: work.path });
  expect(even).toMatchObject({ status: 1, stdout: '' });
  expect(even.stderr).toContain(`${join(work.path, 'whole')} was made with coverage uneven, not even:`);
  const seeds = await surefoot([...index, 'tiny.yaml', '--data-seeds', '12'], { cwd: work.path });
  expect(seeds).toMatchObject({ status: 1, stdout: '' });
  expect(seeds.stderr).toContain('was made with dataSeeds [11,12], not [12]:');
  // Nobody knows what a task without its note was made with.
  await cp(join(work.path, 'whole'), join(work.path, 'unnoted'), { recursive: true });
  await rm(join(work.path, 'unnoted/builtin-task.json'));
  const unnoted = await run('index', '--out', 'even', '--task-dir', 'unnoted', '--index', '0');
  expect(unnoted.stderr).toContain('unnoted/builtin-task.json is not there yet');
  expect(existsSync(join(work.path, 'even'))).toBe(false);
  expect(existsSync(join(work.path, 'unnoted/builtin-task.json'))).toBe(false);
}, 60_000);

test('of runs by index that begin at once with different seeds one is done, and the file tells of it', async () => {
  const seeds = ['1', '2'];
  const words = ['index', '--task-dir', 'whole', '--out', 'torn'];
  const ended = await Promise.all(seeds.map((seed, i) => run(...words, '--index', String(i), '--seed', seed)));
  expect(ended.map(({ status }) => status).sort()).toEqual([0, 1]);
  const done = ended.findIndex(({ status }) => status === 0);
  expect(ended[1 - done]!.stderr).toContain('torn/experiment.yaml was made with other values of seed:');
  expect(await readFile(join(work.path, 'torn/experiment.yaml'), 'utf8')).toContain(`\nseed: ${seeds[done]}\n`);
  expect((await readFile(join(work.path, 'torn/runs.jsonl'), 'utf8')).match(/"status":"completed"/g)).toHaveLength(1);
}, 120_000);

test('what a trainer warns of is said once and reported; the methods so far are shown', async () => {
  const short = { ...experiment, ppo: { ...experiment.ppo, maxNewTokens: 2 } };
  await writeFile(join(work.path, 'short.yaml'), stringify(short));
  const words = ['experiment', 'run', '--config', 'short.yaml', '--out', 'short', '--task-dir', 'whole'];
  const ended = await surefoot([...words, '--backend', 'wasm'], { cwd: work.path });
  expectDone(ended);
  expect(ended.stderr.match(/warning: \d+ % of .* maxNewTokens = 2/g)).toHaveLength(1);
  expect(ended.stderr).toMatch(/so far, [12] of 4 runs:\nmethod .*\n.*v/);
  const { warnings } = JSON.parse(await readFile(join(work.path, 'short/report.json'), 'utf8')) as RiskReport;
  expect(warnings).toContainEqual(expect.stringMatching(/^4 of 4 runs: \d+ % of .* maxNewTokens = 2/));
}, 120_000);

test('other data seeds are one flag, and a folder keeps those it was made with', async () => {
  const refused = await run('run', '--out', 'whole', '--resume', '--data-seeds', '12');
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('dataSeeds [11,12], not [12]');
  expectDone(await run('run', '--out', 'other', '--data-seeds', '12', '--prepare-only'));
  // The same pairs, whichever place the seed has.
  const pairs = (file: string) => readFile(join(work.path, file), 'utf8');
  expect(await pairs('other/task/pairs.jsonl')).toBe(await pairs('whole/pairs-12.jsonl'));
  const index = ['index', '--out', 'other', '--index', '0'];
  expect((await run(...index)).stderr).toContain('dataSeeds [12], not [11,12]');
  const done = await run(...index, '--data-seeds', '12', '--json');
  expectDone(done);
  expect(JSON.parse(done.stdout)).toMatchObject({ block: 'data-12', index: 0, status: 'completed' });
}, 120_000);

test.each([
  [{ ...experiment, policy: 'base' }, [], 1, 'unknown policy'],
  [{ ...experiment, builtinTask: { dataSeeds: [1, 1] } }, [], 1, 'must all differ'],
  [{ ...experiment, builtinTask: { dataSeeds: [1], colour: 'red' } }, [], 1, 'unknown builtinTask: colour'],
  [{ ...experiment, methods: ['vanila'] }, [], 1, 'method vanila: '],
  [{ ...experiment, ppo: { iteration: 1 } }, [], 1, 'unknown field iteration'],
  [experiment, ['--address', 'localhost:1'], 1, 'trainer services do not know the builtinTask'],
  [experiment, ['--data-seeds', '1,x'], 2, 'must be a finite number'],
  [experiment, ['--data-seeds', '1,1'], 2, '--data-seeds must all differ'],
  [experiment, ['--data-seeds', `${2 ** 40}`], 2, '--data-seeds must be at most 1099511627775'],
])('%j %j is refused', async (content, words, status, message) => {
  await writeFile(join(work.path, 'bad.yaml'), stringify(content));
  const bad = ['experiment', 'run', '--config', 'bad.yaml', '--out', 'bad', ...words];
  const ended = await surefoot(bad, { cwd: work.path });
  expect(ended.stderr).toContain(message);
  expect(ended.status).toBe(status);
  // Before anything is computed.
  expect(existsSync(join(work.path, 'bad'))).toBe(false);
});
