import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { status as Status } from '@grpc/grpc-js';
import { createTestFolder, fuzz, writeTestEnsemble } from '@surefoot/scoring-server/testing';
import { callUnary, createClient, createLogger, readConfig, type RunningService } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import {
  EvaluateBatchRequest,
  EvaluateRequest,
  JudgeClient,
  JudgeService,
  type EvaluateResponse,
  type Judgement,
} from '@surefoot/proto/surefoot/judge/v1/judge';
import { configSchema, startJudge } from './index';

const logger = createLogger({ service: 'judge', version: 'test', level: 'silent' });
const call = { deadlineMs: 20_000 };
const folder = createTestFolder();
let judgeFolder: string;
let service: RunningService;
let client: JudgeClient;

beforeAll(async () => {
  judgeFolder = await writeTestEnsemble(folder.path, { name: 'alone', members: 1 });
  service = await start(judgeFolder);
  client = createClient(JudgeClient, service.address);
}, 60_000);
afterAll(async () => {
  client.close();
  await service.close();
  folder.remove();
});

function start(model: string): Promise<RunningService> {
  const environment = { SUREFOOT_ADDRESS: '127.0.0.1:0', SUREFOOT_DRAIN_MS: '500', SUREFOOT_MODEL: model };
  return startJudge(readConfig(configSchema, environment), logger);
}

const rollout = (id: string, response = 'very good soup'): Rollout => ({
  id,
  prompt: { $case: 'text', value: 'is it good ?' },
  response,
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
});

test('a batch is judged in its order, a bad rollout alone is refused', async () => {
  const rollouts = [rollout('a'), rollout('b', ''), rollout('c', 'bad'), rollout('d')];
  const { judgements, model } = await callUnary(client, 'evaluateBatch', { rollouts }, call);
  expect(judgements.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  expect(judgements[1]).toEqual({
    id: 'b',
    status: { code: Status.INVALID_ARGUMENT, message: 'the response is empty' },
    score: undefined,
  });
  expect(judgements[0]!.score).toEqual(expect.any(Number));
  expect(judgements[3]!.score).toBe(judgements[0]!.score);
  expect(judgements[2]!.score).not.toBe(judgements[0]!.score);
  expect(model).toEqual((await callUnary(client, 'getJudge', {}, call)).model);
});

test('a stream gives the same scores as a batch', async () => {
  const rollouts = ['good', 'bad', 'fine soup', 'not very good'].map((text, i) => rollout(`r${i}`, text));
  const { judgements } = await callUnary(client, 'evaluateBatch', { rollouts }, call);
  const stream = client.evaluate();
  const streamed: Judgement[] = [];
  stream.on('data', (response: EvaluateResponse) => streamed.push(...response.judgements));
  const ended = new Promise<{ code: number }>((resolve) => stream.on('status', resolve));
  for (const one of rollouts) stream.write({ rollouts: [one], cancelIds: [] });
  stream.end();
  expect((await ended).code).toBe(Status.OK);
  expect(streamed.sort((a, b) => a.id.localeCompare(b.id))).toEqual(judgements);
});

test('a member folder, which transformers loads too, can be served as it stands', async () => {
  const plain = await start(`${judgeFolder}/member-0`);
  const other = createClient(JudgeClient, plain.address);
  const rollouts = [rollout('a')];
  const [same, first] = [other, client].map((from) => callUnary(from, 'evaluateBatch', { rollouts }, call));
  expect((await same!).judgements).toEqual((await first!).judgements);
  other.close();
  await plain.close();
}, 60_000);

test('an ensemble of several members is no judge', async () => {
  const two = await writeTestEnsemble(folder.path, { name: 'two', members: 2 });
  await expect(start(two)).rejects.toMatchObject({
    kind: 'failed_precondition',
    message: `${two} has 2 members; it must have 1`,
  });
}, 60_000);

test('mutated messages leave the judge alive', async () => {
  const rollouts = [rollout('a'), rollout('b', 'bad')];
  const batch = Buffer.from(EvaluateBatchRequest.encode({ rollouts }).finish());
  const message = Buffer.from(EvaluateRequest.encode({ rollouts, cancelIds: ['b'] }).finish());
  const allowed: number[] = [Status.OK, Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED];
  for (const [method, bytes] of [
    [JudgeService.evaluateBatch, batch],
    [JudgeService.evaluate, message],
  ] as const) {
    const ends = await fuzz(service.address, method, bytes, 1_000);
    expect([...ends.keys()].filter((code) => !allowed.includes(code))).toEqual([]);
  }
  expect((await callUnary(client, 'evaluateBatch', { rollouts }, call)).judgements).toHaveLength(2);
}, 60_000);
