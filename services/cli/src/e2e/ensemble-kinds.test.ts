import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { callUnary, createClient } from '@surefoot/service';
import { RewardEnsembleClient } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { writeBuiltinTask } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import '@surefoot/tensor/testing';
import { expectDone, start, surefoot, workFolder } from './testing';

// A machine under load takes several times as long.
jest.setTimeout(180_000);

let work: Awaited<ReturnType<typeof workFolder>>;
const run = (...words: string[]) => surefoot(words, { cwd: work.path });

interface Sampled {
  prompt: string;
  ids: number[];
  finish: string;
  truncated?: boolean;
}
interface Scored {
  id: string;
  scores: number[];
  variance: number | null;
}

beforeAll(async () => {
  work = await workFolder();
  await openBackend('wasm');
  const baseTraining = { sentences: 200, steps: 20, batchSize: 16 };
  await writeBuiltinTask(join(work.path, 'task'), { dataSeed: 3, pairs: 24, judgePairs: 4, baseTraining });
  const lines = readFileSync(join(work.path, 'task', 'pairs.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const rollouts = lines.map((line, id) => {
    const { prompt, chosen } = JSON.parse(line) as { prompt: string; chosen: string };
    return JSON.stringify({ id: `${id}`, prompt, response: chosen });
  });
  await writeFile(join(work.path, 'rollouts.jsonl'), `${rollouts.join('\n')}\n`);
});
afterAll(() => work.remove());

async function scores(...words: string[]): Promise<Scored[]> {
  const done = await run('score', ...words);
  expectDone(done);
  return done.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Scored);
}

/** Starts a reward ensemble. */
async function serve(folder: string) {
  const running = start(['serve', 'reward-ensemble', '--model', folder, '--address', '127.0.0.1:0', '--threads', '2'], {
    cwd: work.path,
  });
  const log: { msg?: string; address?: string; computeThreads?: number }[] = [];
  for await (const line of createInterface({ input: running.child.stdout! })) {
    log.push(JSON.parse(line) as (typeof log)[number]);
    if (log.some(({ msg }) => msg === 'model loaded') && log.some(({ msg }) => msg === 'listening')) break;
  }
  const stop = async () => {
    running.child.kill('SIGTERM');
    await running.ended;
  };
  return { log, stop, address: log.find(({ msg }) => msg === 'listening')?.address ?? running.stderr() };
}

test('what generate writes is read as whole rollouts, and refused where it has no prompt', async () => {
  const prompts = readFileSync(join(work.path, 'task', 'prompts.jsonl'), 'utf8')
    .split('\n')
    .slice(0, 4);
  await writeFile(join(work.path, 'few.jsonl'), `${prompts.join('\n')}\n`);
  const generate = ['generate', '--model', 'task/base', '--max-new-tokens', '5', '--backend', 'wasm', '--in'];
  expectDone(await run(...generate, 'few.jsonl', '--out', 'sampled.jsonl'));
  const linesOf = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Sampled);
  const sampled = linesOf(readFileSync(join(work.path, 'sampled.jsonl'), 'utf8'));
  const given = prompts.map((line) => (JSON.parse(line) as Sampled).prompt);
  expect(sampled.map(({ prompt }) => prompt)).toEqual(given);
  expect(sampled.map(({ truncated = false, finish }) => truncated === (finish === 'length'))).not.toContain(false);

  const tokenized = await surefoot(['tokenize', '--model', 'task/base', '--in', '-'], {
    cwd: work.path,
    input: given.map((text) => `${JSON.stringify({ text })}\n`).join(''),
  });
  const logprobs = await run('logprobs', '--model', 'task/base', '--in', 'sampled.jsonl', '--backend', 'wasm');
  expectDone(logprobs);
  expect(linesOf(logprobs.stdout).map(({ ids }) => ids)).toEqual(
    linesOf(tokenized.stdout).map(({ ids }, i) => [...ids, ...sampled[i]!.ids]),
  );

  await writeFile(join(work.path, 'ids.jsonl'), '{"id":"a","ids":[2,3,4]}\n');
  expectDone(await run(...generate, 'ids.jsonl', '--out', 'responses.jsonl'));
  const refused = await run('logprobs', '--model', 'task/base', '--in', 'responses.jsonl');
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('it has ids and response') });
});

describe.each([
  { kind: 'full', more: [], threads: 2 },
  { kind: 'heads', more: ['--tune-trunk', '--tune-epochs', '1'], threads: 1 },
  { kind: 'adapters', more: ['--lora-r', '2', '--lora-targets', 'c_attn', 'c_proj'], threads: 2 },
])('reward models of kind $kind', ({ kind, more, threads }) => {
  test('score alike from the folder, from a service and imported', async () => {
    const fit = [
      '--base',
      'task/base',
      '--pairs',
      'task/pairs.jsonl',
      '--members',
      '2',
      '--epochs',
      '2',
      '--kind',
      kind,
    ];
    const trained = await run('reward', 'train', ...fit, ...more, '--out', kind, '--backend', 'wasm');
    expectDone(trained);
    expect(trained.stdout).toMatch(/: 2 members\nmember 0: .*\nmember 1: /);
    const local = await scores('--ensemble', kind, '--in', 'rollouts.jsonl', '--backend', 'wasm');
    expect(local).toHaveLength(24);
    expect(new Set(local.map(({ scores: own }) => own[0])).size).toBeGreaterThan(12);
    const { log, address, stop } = await serve(kind);
    try {
      expect(log.find(({ msg }) => msg === 'model loaded')).toMatchObject({ computeThreads: threads });
      expect(await scores('--address', address, '--in', 'rollouts.jsonl')).toEqual(local);
      const client = createClient(RewardEnsembleClient, address);
      expect(await callUnary(client, 'getEnsemble', {}, { deadlineMs: 20_000 })).toMatchObject({ kind });
      client.close();
    } finally {
      await stop();
    }
    const members = [0, 1].map((k) => join(kind, `member-${k}`));
    expectDone(await run('reward', 'import', '--members', ...members, '--out', `${kind}-imported`));
    const imported = await scores('--ensemble', `${kind}-imported`, '--in', 'rollouts.jsonl', '--raw');
    const raw = await scores('--ensemble', kind, '--in', 'rollouts.jsonl', '--raw');
    imported.forEach(({ scores: own }, i) => expect(own).toBeAllclose(raw[i]!.scores, { atol: 1e-5 }));
    const calibrate = ['reward', 'calibrate', '--ensemble', `${kind}-imported`, '--in', 'rollouts.jsonl', '--json'];
    const calibrated = await run(...calibrate);
    expectDone(calibrated);
    expect((JSON.parse(calibrated.stdout) as { members: object[] }).members).toHaveLength(2);
  });
});

test('an adapter made for another model is told of, and a base that was moved is named', async () => {
  const member = join('adapters', 'member-0');
  expectDone(
    await run('model', 'create', '--like', 'task/base/config.json', '--tokenizer', 'task/base', '--out', 'twin'),
  );
  const on = (model: string) =>
    run('score', '--model', model, '--adapter', member, '--in', 'rollouts.jsonl', '--backend', 'wasm', '--out', 'out');
  const [own, other] = [await on('task/base'), await on('twin')];
  expectDone(own);
  expectDone(other);
  expect(own.stderr).not.toContain('made for');
  expect(other.stderr).toMatch(/adapter .*member-0 says it was made for .*base, not for twin/);
  await cp(join(work.path, 'adapters'), join(work.path, 'sub', 'adapters'), { recursive: true });
  const moved = await run('score', '--ensemble', 'sub/adapters', '--in', 'rollouts.jsonl');
  expect(moved.status).toBe(1);
  expect(moved.stderr).toMatch(
    /sub.adapters.ensemble\.json names .*task.base as base, .* does not exist: put the model/,
  );
});

test('heads that are nearly one are told, with what keeps them apart', async () => {
  await writeFile(join(work.path, 'wide.json'), JSON.stringify({ head: 0.5 }));
  const fit = ['reward', 'train', '--base', 'task/base', '--pairs', 'task/pairs.jsonl', '--members', '3', '--json'];
  const heads = [...fit, '--kind', 'heads', '--epochs', '100', '--learning-rate', '1e-2', '--backend', 'wasm'];
  const correlation = ({ stdout }: { stdout: string }) =>
    (JSON.parse(stdout) as { memberCorrelation: number }).memberCorrelation;
  const alike = await run(...heads, '--out', 'alike');
  expectDone(alike);
  expect(correlation(alike)).toBeGreaterThan(0.98);
  expect(alike.stderr).toMatch(/members agree to 0\.99\d\d: their variance says nothing; .*--head-pull 0\.3/);
  const apart = await run(...heads, '--init', 'wide.json', '--head-pull', '0.3', '--out', 'apart');
  expectDone(apart);
  expect(correlation(apart)).toBeLessThan(0.9);
  expect(apart.stderr).not.toContain('members agree');
});

test('options of another kind are wrong usage, and the message says of which', async () => {
  const fit = ['reward', 'train', '--base', 'task/base', '--pairs', 'task/pairs.jsonl', '--out', 'refused'];
  for (const [more, message] of [
    [['--lora-r', '4'], '--lora-r is an option of --kind adapters, this is --kind full'],
    [['--kind', 'adapters', '--tune-trunk'], '--tune-trunk is an option of --kind heads'],
    [['--kind', 'heads', '--tune-epochs', '2'], 'go with --tune-trunk'],
    [['--weights', 'bf16-mapped'], 'for weights that are not trained'],
  ] as const)
    expect(await run(...fit, ...more)).toMatchObject({ status: 2, stderr: expect.stringContaining(message) });
  const like = ['--like', 'task/member-config.json', '--tokenizer', 'task/base', '--pairs', 'task/pairs.jsonl'];
  expect(await run('reward', 'train', ...like, '--kind', 'adapters', '--out', 'refused')).toMatchObject({ status: 2 });
  const heads = await run('reward', 'train', ...like, '--kind', 'heads', '--out', 'refused');
  expect(heads).toMatchObject({ status: 2, stderr: expect.stringContaining('add --tune-trunk, or give --base') });
});
