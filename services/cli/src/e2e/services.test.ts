import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { JudgeClient } from '@surefoot/proto/surefoot/judge/v1/judge';
import { PolicyTrainerClient, RunConfig } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { RewardEnsembleClient } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { callUnary, createClient } from '@surefoot/service';
import { stringify } from 'yaml';
import { expectDone, start, surefoot, tinyQuickstart, workFolder, type Running } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const served: Running[] = [];
const at = (...path: string[]) => join(work.path, ...path);
let ensemble: string;
let judge: string;
let trainer: string;

beforeAll(async () => {
  work = await workFolder();
  expectDone(await surefoot([...tinyQuickstart, '--out', 'quick'], { cwd: work.path }));
  ensemble = await serve('reward-ensemble', '--model', 'quick/ensemble');
  judge = await serve('judge', '--model', 'quick/judge');
  const scorers = ['--ensemble-address', ensemble, '--judge-address', judge];
  trainer = await serve('policy-trainer', '--data-dir', 'quick/task', '--runs-dir', 'served', ...scorers);
}, 300_000);
afterAll(async () => {
  for (const { child } of served) child.kill('SIGTERM');
  const ended = await Promise.all(served.map((running) => running.ended));
  await work.remove();
  expect(ended.map(({ status }) => status)).toEqual(served.map(() => 130));
});

/** Starts a service through the command line; returns where it listens. */
async function serve(...words: string[]): Promise<string> {
  const running = start(['serve', ...words, '--address', '127.0.0.1:0'], { cwd: work.path });
  served.push(running);
  for await (const line of createInterface({ input: running.child.stdout! })) {
    const { msg, address } = JSON.parse(line) as { msg?: string; address?: string };
    if (msg === 'listening' && address) return address;
  }
  throw new Error(running.stderr());
}

const call = { deadlineMs: 20_000 };
const rollout = (change: Partial<Rollout> = {}): Rollout => ({
  id: 'x',
  prompt: { $case: 'text', value: 'how is the soup ?' },
  response: 'sure the soup is very tasty and very fresh thanks .',
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
  ...change,
});

describe('served scorers', () => {
  const scoreBatch = async (...rollouts: Rollout[]) => {
    const client = createClient(RewardEnsembleClient, ensemble);
    try {
      return await callUnary(client, 'scoreBatch', { rollouts }, call);
    } finally {
      client.close();
    }
  };

  test('give the scores that the folder gives, to a client of any kind', async () => {
    await writeFile(
      at('one.jsonl'),
      [rollout().response, 'sure \ufffd', 'sure ?']
        .map((response, id) => `${JSON.stringify({ id: String(id), prompt: 'how is the soup ?', response })}\n`)
        .join(''),
    );
    const [local, remote] = [
      await surefoot(['score', '--ensemble', 'quick/ensemble', '--in', 'one.jsonl'], { cwd: work.path }),
      await surefoot(['score', '--address', ensemble, '--in', 'one.jsonl'], { cwd: work.path }),
    ];
    expectDone(local);
    expectDone(remote);
    expect(remote.stdout).toBe(local.stdout);
    const [first, ...others] = local.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { scores: number[] }).scores);
    expect(first).toHaveLength(2);
    // Both read `?` where U+FFFD stands.
    expect(others[0]).toEqual(others[1]);
  });

  test.each<[string, Partial<Rollout>]>([
    ['an empty response', { response: '' }],
    ['an id given twice', { id: 'good' }],
    ['a word outside the vocabulary', { response: 'zebra' }],
    ['a replacement character', { response: 'sure \ufffd' }],
    ['no prompt', { prompt: undefined }],
    ['no id', { id: '' }],
    ['a response longer than the model', { response: 'sure '.repeat(60).trim() }],
  ])('fail %s alone, in a sentence, and go on', async (_, change) => {
    const { scores } = await scoreBatch(rollout({ id: 'good' }), rollout(change));
    expect(scores[0]).toMatchObject({ status: undefined, mean: expect.any(Number) });
    expect(scores[1]).toMatchObject({ status: { code: 3, message: expect.stringMatching(/.{8}/) }, memberScores: [] });
  });

  test('fail messages alone where there is no chat template', async () => {
    const messages = [{ role: 'user', content: 'how is the soup ?' }];
    const { scores } = await scoreBatch(rollout({ prompt: { $case: 'conversation', value: { messages } } }));
    expect(scores[0]).toMatchObject({ status: { code: 9, message: expect.stringContaining('chat template') } });
  });

  test('read the text where token ids go beyond the vocabulary', async () => {
    const client = createClient(RewardEnsembleClient, ensemble);
    const { tokenizerDigest } = await callUnary(client, 'getEnsemble', {}, call);
    client.close();
    const tokenIds = { tokenizerDigest, promptIds: [0], responseIds: [4_000_000_000] };
    const { scores } = await scoreBatch(rollout({ tokenIds }), rollout({ id: 'text' }));
    expect(scores[0]).toMatchObject({ status: undefined, memberScores: scores[1]!.memberScores });
  });

  test.each<[string, Rollout[], string]>([
    ['no rollouts', [], 'invalid_argument'],
    ['too many rollouts', Array.from({ length: 129 }, (_, i) => rollout({ id: String(i) })), 'invalid_argument'],
    ['a message of 2 MiB', [rollout({ response: 'x'.repeat(2 ** 21) })], 'resource_exhausted'],
  ])('refuse %s as a whole, and stay alive', async (_, rollouts, kind) => {
    await expect(scoreBatch(...rollouts)).rejects.toMatchObject({ kind });
    expect((await scoreBatch(rollout())).scores[0]).toMatchObject({ status: undefined });
  });

  test('the judge has one score and no variance', async () => {
    const client = createClient(JudgeClient, judge);
    const { judgements } = await callUnary(client, 'evaluateBatch', { rollouts: [rollout()] }, call);
    client.close();
    expect(judgements).toMatchObject([{ id: 'x', score: expect.any(Number) }]);
  });
});

describe('a served trainer', () => {
  const ppo = { iterations: 2, referenceSamples: 64, evaluationSamples: 64 };
  const config = (change: object = {}) =>
    RunConfig.fromPartial({ policy: 'base', prompts: 'prompts.jsonl', mode: 'vanilla', seed: 1n, ppo, ...change });
  const startRun = async (runId: string, run: RunConfig) => {
    const client = createClient(PolicyTrainerClient, trainer);
    try {
      return await callUnary(client, 'startRun', { runId, config: run, resume: false }, call);
    } finally {
      client.close();
    }
  };

  test.each<[string, object, string, string]>([
    ['a learning rate that is no number', { ppo: { learningRate: NaN } }, 'invalid_argument', 'learning'],
    ['an unknown mode', { mode: 'careful' }, 'invalid_argument', 'mode'],
    ['a path outside its data', { policy: '../ensemble' }, 'invalid_argument', 'outside'],
    ['a policy that is not there', { policy: 'nowhere' }, 'not_found', 'nowhere'],
    ['a member that is not there', { member: 7 }, 'invalid_argument', 'member'],
    ['a variance of a judge alone', { mode: 'uwo', ensembleAddress: 'JUDGE' }, 'failed_precondition', ''],
  ])('refuses %s and stays alive', async (_, change, kind, says) => {
    const fields = 'ensembleAddress' in change ? { ...change, ensembleAddress: judge } : change;
    await expect(startRun('bad', config(fields))).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(says),
    });
    expectDone(await surefoot(['runs', 'list', '--address', trainer], { cwd: work.path }));
  });

  test('refuses a name that is a path', async () => {
    await expect(startRun('../x', config())).rejects.toMatchObject({ kind: 'invalid_argument' });
  });

  test('does a run for train, and tells of it', async () => {
    const run = { name: 'mine', policy: 'base', prompts: 'prompts.jsonl', gold: 'gold.json', method: 'vanilla', ppo };
    await writeFile(at('run.yaml'), stringify(run));
    const trained = await surefoot(['train', '--config', 'run.yaml', '--address', trainer, '--json'], {
      cwd: work.path,
    });
    expectDone(trained);
    const model = at('served', 'mine', 'model');
    expect(JSON.parse(trained.stdout)).toMatchObject({
      ...{ id: 'mine', status: 'completed', iterations: ppo.iterations },
      model,
    });
    const again = await surefoot(['train', '--config', 'run.yaml', '--address', trainer], { cwd: work.path });
    expect(again).toMatchObject({ status: 1, stdout: '' });
    expect(again.stderr).toContain(
      'has a run "mine" already: choose another "name" in the configuration, or add --resume',
    );

    const watched = await surefoot(['runs', 'watch', 'mine', '--address', trainer], { cwd: work.path });
    expectDone(watched);
    const lines = watched.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { iteration: number });
    expect(lines.map(({ iteration }) => iteration)).toEqual([1, 2]);
    const got = await surefoot(['runs', 'get', 'mine', '--address', trainer, '--json'], { cwd: work.path });
    expect(JSON.parse(got.stdout)).toMatchObject({ id: 'mine', status: 'completed', model });
    await writeFile(at('folders.yaml'), stringify({ ...run, ensemble: 'ens', judge: 'jud' }));
    const folders = await surefoot(['train', '--config', 'folders.yaml', '--address', trainer], { cwd: work.path });
    expect(folders.stderr).toContain('folders.yaml: ensemble: ens, judge: jud: a trainer service opens no folder');
    const cancelled = await surefoot(['runs', 'cancel', 'mine', '--address', trainer], { cwd: work.path });
    expect(cancelled).toMatchObject({ status: 1, stdout: '' });
    const unknown = await surefoot(['runs', 'get', 'none', '--address', trainer], { cwd: work.path });
    expect(unknown).toMatchObject({ status: 1, stdout: '' });
    expect(unknown.stderr).toContain('none');
  }, 120_000);

  test('does the runs of an experiment by address, with the bytes of local ones', async () => {
    const shared = { gold: 'quick/task/gold.json', methods: ['vanilla'], runs: 2, ppo };
    const here = { policy: 'quick/task/base', prompts: 'quick/task/prompts.jsonl', judge: 'quick/judge', ...shared };
    const there = { policy: 'base', prompts: 'prompts.jsonl', judge, ...shared, gold: 'gold.json' };
    await writeFile(at('here.yaml'), stringify({ ...here, blocks: [{ name: 'a', ensemble: 'quick/ensemble' }] }));
    await writeFile(at('there.yaml'), stringify({ ...there, blocks: [{ name: 'a', address: ensemble }] }));
    const run = (name: string, ...more: string[]) =>
      surefoot(['experiment', 'run', '--config', `${name}.yaml`, '--out', name, ...more], { cwd: work.path });
    expectDone(await run('here'));
    expectDone(await run('there', '--address', trainer));
    const other = { ...there, blocks: [{ name: 'a', address: ensemble }], methods: ['uwo', 'vanilla'], runs: 1 };
    await writeFile(at('taken.yaml'), stringify(other));
    const taken = await run('taken', '--address', trainer, '--workers', '1');
    expect(taken).toMatchObject({ status: 1, stdout: '' });
    expect(taken.stderr).toContain('"experiment-vanilla-a-0" already: choose another "name"');
    await writeFile(at('named.yaml'), stringify({ ...other, name: 'named', methods: ['vanilla'] }));
    expectDone(await run('named', '--address', trainer));
    expect(withoutSeconds(await runsOf('there'))).toEqual(withoutSeconds(await runsOf('here')));
  }, 180_000);
});

async function runsOf(folder: string): Promise<string> {
  return readFile(at(folder, 'runs.jsonl'), 'utf8');
}

function withoutSeconds(lines: string): unknown[] {
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...(JSON.parse(line) as object), seconds: 0 }));
}
