import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { writeSound } from './hostile-files';
import { expectDone, start, surefoot, timelessRuns, until, workFolder, type Running } from './testing';

jest.setTimeout(600_000);

let work: Awaited<ReturnType<typeof workFolder>>;
const served: Running[] = [];
const at = (...path: string[]) => join(work.path, ...path);
const env = { SUREFOOT_BACKEND: 'wasm', SUREFOOT_THREADS: '1' };
/** Nobody listens at this port. */
const dead = '127.0.0.1:1';

let ensemble: string;
let judge: string;
beforeAll(async () => {
  work = await workFolder();
  await writeSound(work.path);
  await mkdir(at('data'));
  await cp(at('base'), at('data/base'), { recursive: true });
  await writeFile(at('data/prompts.jsonl'), `${JSON.stringify({ prompt: 'how is the soup ?' })}\n`.repeat(8));
  const scorers = [serve('reward-ensemble', '--model', 'ensemble'), serve('judge', '--model', 'reward')];
  [ensemble, judge] = (await Promise.all(scorers)).map(({ address }) => address) as [string, string];
});
afterAll(async () => {
  for (const { child } of served) child.kill('SIGKILL');
  await Promise.all(served.map((running) => running.ended));
  await work.remove();
});

/** Starts a service through the command line. */
async function serve(...words: string[]): Promise<Running & { address: string }> {
  const running = start(['serve', ...words, '--address', '127.0.0.1:0'], { cwd: work.path, env });
  served.push(running);
  for await (const line of createInterface({ input: running.child.stdout! })) {
    const { msg, address } = JSON.parse(line) as { msg?: string; address?: string };
    if (msg === 'listening' && address) return { ...running, address };
  }
  throw new Error(running.stderr());
}

const trainer = (runs: string) => serve('policy-trainer', '--data-dir', 'data', '--runs-dir', runs);

/** Kills the process of a service; the command that holds it in the foreground then ends too. */
function kill({ child }: Running): void {
  process.kill(Number(execFileSync('pgrep', ['-P', String(child.pid)])), 'SIGKILL');
}

/** Passes connections on to another port, which may change. */
async function createProxy(target: string) {
  const sockets = new Set<Socket>();
  let to = target;
  const server = createServer((incoming) => {
    const outgoing = connect(Number(to.split(':')[1]), '127.0.0.1');
    for (const socket of [incoming, outgoing])
      sockets.add(socket.on('error', () => undefined).on('close', () => [incoming, outgoing].map((s) => s.destroy())));
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Cuts all connections; those to come go to `target`. */
    cut(target: string) {
      to = target;
      for (const socket of sockets) socket.destroy();
    },
    close: () => server.close(),
  };
}

/** Writes an experiment. */
async function writeExperiment(name: string, { iterations, runs }: { iterations: number; runs: number }) {
  const size = { batchSize: 8, minibatchSize: 4, maxNewTokens: 4, referenceSamples: 64, evaluationSamples: 64 };
  const blocks = [{ name: 'a', address: ensemble }];
  const files = { policy: 'base', prompts: 'prompts.jsonl' };
  const experiment = { name, ...files, judge, blocks, methods: ['vanilla', 'uwo'], runs, ppo: { ...size, iterations } };
  await writeFile(at(`${name}.yaml`), stringify(experiment));
}
const words = (name: string, addresses: string[], ...more: string[]) => [
  ...['experiment', 'run', '--config', `${name}.yaml`, '--out', name, '--address', addresses.join(','), ...more],
];
const run = (...options: Parameters<typeof words>) => surefoot(words(...options), { cwd: work.path, env });

const statuses = (name: string) =>
  readFileSync(at(name, 'runs.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { status: string }).status);

/** True where a trainer has come to the second iteration of a run, or of the one that is named. */
const isAtWork = (runs: string, id?: string) =>
  existsSync(at(runs)) &&
  readdirSync(at(runs)).some((name) => {
    const path = at(runs, name, 'metrics.jsonl');
    return name === (id ?? name) && existsSync(path) && readFileSync(path, 'utf8').split('\n').length > 2;
  });

/** Runs that are disturbed at their second iteration, far from their last, and their like that is not. */
const long = { iterations: 60, runs: 1 };
beforeAll(async () => {
  const { address } = await trainer('undisturbed-runs');
  await writeExperiment('undisturbed', long);
  expectDone(await run('undisturbed', [address]));
});

test('a trainer that is not there does no run, and fails none', async () => {
  const { address } = await trainer('live');
  await writeExperiment('one-dead', { iterations: 1, runs: 4 });
  const ended = await run('one-dead', [dead, address]);
  expectDone(ended);
  expect(statuses('one-dead')).toEqual(Array(8).fill('completed'));
  expect(ended.stderr.match(/warning: trainer 127.0.0.1:1 gets no more runs: /g)).toHaveLength(1);
});

test('where none is left the command ends, records no failure, and goes on with --resume', async () => {
  await writeExperiment('all-dead', { iterations: 1, runs: 1 });
  const ended = await run('all-dead', [dead, '127.0.0.1:2']);
  expect(ended).toMatchObject({ status: 1, stdout: '' });
  expect(ended.stderr.trimEnd().split('\n').at(-1)).toMatch(
    /^surefoot: no trainer is left, the last: cannot reach 127.0.0.1:[12]: .*--resume --out all-dead$/,
  );
  expect(readdirSync(at('all-dead', 'runs'))).toEqual([]);
  expect(existsSync(at('all-dead', 'runs.jsonl'))).toBe(false);
  const { address } = await trainer('later');
  expectDone(await run('all-dead', [address], '--resume'));
  expect(statuses('all-dead')).toEqual(['completed', 'completed']);
});

test('the run of a trainer that is killed is done by another; all killed, it goes on with --resume', async () => {
  const [killed, other] = await Promise.all([trainer('killed'), trainer('other')]);
  await writeExperiment('moved', long);
  const running = start(words('moved', [killed.address, other.address]), { cwd: work.path, env });
  await until(() => isAtWork('killed'), running);
  kill(killed);
  const ended = await running.ended;
  expectDone(ended);
  expect(ended.stderr).toContain(`warning: trainer ${killed.address} gets no more runs: `);
  expect(await timelessRuns(at('moved'))).toBe(await timelessRuns(at('undisturbed')));

  await writeExperiment('stopped', long);
  const last = await trainer('last');
  const stopped = start(words('stopped', [last.address]), { cwd: work.path, env });
  await until(() => isAtWork('last'), stopped);
  kill(last);
  expect(await stopped.ended).toMatchObject({ status: 1, stderr: expect.stringContaining('--resume') });
  const again = await trainer('last');
  expectDone(await run('stopped', [again.address], '--resume'));
  expect(await timelessRuns(at('stopped'))).toBe(await timelessRuns(at('undisturbed')));
});

test('a lost connection is taken up again; a trainer that comes back goes on with its run', async () => {
  const [first, second] = await Promise.all([trainer('shared'), trainer('shared')]);
  const proxy = await createProxy(first.address);
  await writeExperiment('cut', long);
  const running = start(words('cut', [proxy.address]), { cwd: work.path, env });
  await until(() => isAtWork('shared'), running);
  proxy.cut(first.address);
  await until(() => existsSync(at('shared/cut-vanilla-a-0/run.json')), running);
  await until(() => isAtWork('shared', 'cut-uwo-a-0'), running);
  kill(first);
  proxy.cut(second.address);
  const ended = await running.ended;
  proxy.close();
  expectDone(ended);
  expect(ended.stderr).not.toContain('warning: trainer');
  expect(await timelessRuns(at('cut'))).toBe(await timelessRuns(at('undisturbed')));
});

test('what trainer services make useless is said, or refused', async () => {
  await writeExperiment('useless', { iterations: 1, runs: 1 });
  const refused = 'only for a builtinTask, and useless.yaml has none\n';
  const flags = ['--task-dir', 'task', '--data-seeds', '1', '--prepare-only'];
  const stderr = `surefoot: --data-seeds, --prepare-only, --task-dir: ${refused}`;
  expect(await run('useless', [dead], ...flags)).toEqual({ status: 2, stdout: '', stderr });
  const index = [
    'experiment',
    'index',
    '--config',
    'useless.yaml',
    '--out',
    'useless',
    '--index',
    '0',
    '--address',
    dead,
  ];
  expect(await surefoot([...index, '--task-dir', 'task'], { cwd: work.path, env })).toEqual({
    status: 2,
    stdout: '',
    stderr: `surefoot: --task-dir: ${refused}`,
  });
  const noted = await run('useless', [dead], '--workers', '3', '--backend', 'cpu');
  expect(noted.stderr).toMatch(/^--workers 3, --backend cpu: without effect/);
});
