import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { JudgeClient } from '@surefoot/proto/surefoot/judge/v1/judge';
import { RewardEnsembleClient } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { callUnary, createClient } from '@surefoot/service';
import { stringify } from 'yaml';
import { hostileFiles, writeSound, type HostileFile } from './hostile-files';
import { expectDone, start, surefoot, workFolder, type Running } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const served: Running[] = [];
const at = (...path: string[]) => join(work.path, ...path);
const env = { SUREFOOT_BACKEND: 'wasm', SUREFOOT_THREADS: '1' };
const byTitle = (title: string): HostileFile => hostileFiles.find((file) => file.title === title)!;
const endless = byTitle('a template that loops in loops in loops');

let ensemble: string;
let judge: string;
let trainer: string;
beforeAll(async () => {
  work = await workFolder();
  await writeSound(work.path);
  await cp(at('ensemble'), at('spoilt'), { recursive: true });
  for (const member of ['member-0', 'member-1']) await endless.prepare(at('spoilt', member));
  await cp(at('reward'), at('judge'), { recursive: true });
  await endless.prepare(at('judge'));
  await mkdir(at('data'));
  await cp(at('base'), at('data/base'), { recursive: true });
  await writeFile(at('data/prompts.jsonl'), `${JSON.stringify({ prompt: 'how is the soup ?' })}\n`.repeat(8));
  ensemble = await serve('reward-ensemble', '--model', 'spoilt');
  judge = await serve('judge', '--model', 'judge');
  const scorers = ['--ensemble-address', ensemble, '--judge-address', judge];
  trainer = await serve('policy-trainer', '--data-dir', 'data', '--runs-dir', 'served', ...scorers);
}, 120_000);
afterAll(async () => {
  for (const { child } of served) child.kill('SIGTERM');
  const ended = await Promise.all(served.map((running) => running.ended));
  await work.remove();
  expect(ended.map(({ status }) => status)).toEqual(served.map(() => 130));
});

/** Starts a service through the command line; returns where it listens. */
async function serve(...words: string[]): Promise<string> {
  const running = start(['serve', ...words, '--address', '127.0.0.1:0'], { cwd: work.path, env });
  served.push(running);
  for await (const line of createInterface({ input: running.child.stdout! })) {
    const { msg, address } = JSON.parse(line) as { msg?: string; address?: string };
    if (msg === 'listening' && address) return address;
  }
  throw new Error(running.stderr());
}

const call = { deadlineMs: 60_000 };
const response = 'very good .';
const rollout = (id: string, prompt: Rollout['prompt']): Rollout => ({
  ...{ id, prompt, response, truncated: false, tokenIds: undefined, ttlMs: 0 },
});
const conversation = rollout('talk', {
  $case: 'conversation',
  value: { messages: [{ role: 'user', content: 'how is the soup ?' }] },
});
const plain = rollout('text', { $case: 'text', value: 'how is the soup ?' });

describe('a served scorer whose chat template would never end', () => {
  const refused = { code: 3, message: expect.stringMatching(/chat_template\.jinja refuses the conversation/) };

  test('reward-ensemble: fails the conversation alone, and answers the next', async () => {
    const client = createClient(RewardEnsembleClient, ensemble);
    const { scores } = await callUnary(client, 'scoreBatch', { rollouts: [conversation, plain] }, call);
    expect(scores).toMatchObject([{ status: refused }, { status: undefined, mean: expect.any(Number) }]);
    const next = await callUnary(client, 'scoreBatch', { rollouts: [plain] }, call);
    client.close();
    expect(next.scores).toEqual([scores[1]]);
  });

  test('judge: the same', async () => {
    const client = createClient(JudgeClient, judge);
    const { judgements } = await callUnary(client, 'evaluateBatch', { rollouts: [conversation, plain] }, call);
    client.close();
    expect(judgements).toMatchObject([{ status: refused }, { status: undefined, score: expect.any(Number) }]);
  });
});

describe('a service that is started with it says so in one line and ends:', () => {
  test.each([
    ['reward-ensemble', 'an ensemble with a member outside'],
    ['reward-ensemble', 'an ensemble that is a pipe'],
    ['judge', 'weights that are not a number'],
    ['judge', 'a header of 2^63 bytes'],
    ['judge', 'a token whose id is four billion'],
  ])('%s, %s', async (service, title) => {
    const { prepare, says } = byTitle(title);
    const folder = at(`hostile-${service}-${title.replaceAll(/\W/g, '-')}`);
    await cp(at(service === 'judge' ? 'reward' : 'ensemble'), folder, { recursive: true });
    await prepare(folder);
    const words = ['serve', service, '--model', folder, '--address', '127.0.0.1:0'];
    const ended = await surefoot(words, { cwd: work.path, env });
    expect(ended.status).toBe(1);
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(ended.stderr).toContain('hostile');
    expect(ended.stderr).toMatch(says);
  });
});

describe('a served trainer fails a run on it in one line and lives on:', () => {
  const size = { batchSize: 8, minibatchSize: 4, maxNewTokens: 4 };
  const ppo = { ...size, iterations: 1, referenceSamples: 64, evaluationSamples: 64 };
  const train = async (name: string, run: object) => {
    const config = { name, policy: 'base', prompts: 'prompts.jsonl', method: 'vanilla', ppo, ...run };
    await writeFile(at(`${name}.yaml`), stringify(config));
    return surefoot(['train', '--config', `${name}.yaml`, '--address', trainer, '--json'], { cwd: work.path, env });
  };

  test.each([
    'a header of 2^63 bytes',
    'a pipe in place of the weights',
    'a device without end in place of the weights',
    'weights that are not a number',
    'an index that names /etc/passwd',
    'a config nested 40 million deep',
    'a pipe in place of the config',
    'a tokenizer nested 40 million deep',
    'an id that is negative',
  ])('%s', async (title) => {
    const { prepare, says } = byTitle(title);
    const name = `hostile-${title.replaceAll(/\W/g, '-')}`;
    await cp(at('base'), at('data', name), { recursive: true });
    await prepare(at('data', name));
    const ended = await train(name, { policy: name });
    expect(ended.status).toBe(1);
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(ended.stderr).toContain(name);
    expect(ended.stderr).toMatch(says);
    expectDone(await surefoot(['runs', 'list', '--address', trainer], { cwd: work.path, env }));
  });

  test.each(['gzip that unpacks to one line without end', 'a line nested 40 million deep'])(
    'prompts: %s',
    async (title) => {
      const { prepare, says } = byTitle(title);
      const name = `prompts-${title.replaceAll(/\W/g, '-')}`;
      await prepare(at('data', name));
      const ended = await train(name, { prompts: `${name}/in.jsonl` });
      expect(ended.status).toBe(1);
      expect(ended.stderr).toContain('in.jsonl');
      expect(ended.stderr).toMatch(says);
    },
  );

  test('and does the next one', async () => {
    const done = await train('sound', {});
    expectDone(done);
    expect(JSON.parse(done.stdout)).toMatchObject({ id: 'sound', status: 'completed' });
  });
});
