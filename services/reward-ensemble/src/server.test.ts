import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Metadata, status as Status, type ServiceError } from '@grpc/grpc-js';
import { ensembleStatistics, loadEnsemble, scoreSequences } from '@surefoot/reward';
import { createTestFolder, fuzz, words, writeTestEnsemble } from '@surefoot/scoring-server/testing';
import { callUnary, createClient, createLogger, readConfig, type RunningService } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import {
  RewardEnsembleClient,
  RewardEnsembleService,
  ScoreBatchRequest,
  ScoreRequest,
  type GetEnsembleResponse,
  type RolloutScore,
  type ScoreResponse,
} from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { configSchema, startRewardEnsemble } from './index';

const logger = createLogger({ service: 'reward-ensemble', version: 'test', level: 'silent' });
const call = { deadlineMs: 20_000 };
const folder = createTestFolder();
const services: RunningService[] = [];
const clients: RewardEnsembleClient[] = [];
let ensembleFolder: string;
let client: RewardEnsembleClient;
let address: string;
let ensemble: GetEnsembleResponse;

beforeAll(async () => {
  ensembleFolder = await writeTestEnsemble(folder.path, { name: 'three', members: 3 });
  ({ client, address } = await start({ SUREFOOT_MODEL: ensembleFolder }));
  ensemble = await callUnary(client, 'getEnsemble', {}, call);
}, 60_000);
afterAll(async () => {
  for (const open of clients) open.close();
  for (const service of services) await service.close();
  folder.remove();
}, 60_000);

async function start(environment: Record<string, string>) {
  const config = readConfig(configSchema, {
    SUREFOOT_ADDRESS: '127.0.0.1:0',
    SUREFOOT_DRAIN_MS: '500',
    ...environment,
  });
  const service = await startRewardEnsemble(config, logger);
  services.push(service);
  const opened = createClient(RewardEnsembleClient, service.address);
  clients.push(opened);
  return { client: opened, address: service.address };
}

const rollout = (id: string, changes: Partial<Rollout> = {}): Rollout => ({
  id,
  prompt: { $case: 'text', value: 'is it good ?' },
  response: 'very good soup',
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
  ...changes,
});
const withIds = (id: string, promptIds: number[], responseIds: number[], changes: Partial<Rollout> = {}) =>
  rollout(id, { tokenIds: { tokenizerDigest: ensemble.tokenizerDigest, promptIds, responseIds }, ...changes });
const scoreBatch = async (rollouts: Rollout[]) => (await callUnary(client, 'scoreBatch', { rollouts }, call)).scores;

/** Sends messages on a stream, half-closes, and collects what comes. */
async function onStream(of: RewardEnsembleClient, messages: Partial<ScoreRequest>[]) {
  const stream = of.score(new Metadata(), { deadline: Date.now() + 20_000 });
  const scores: RolloutScore[] = [];
  const models: ScoreResponse['model'][] = [];
  stream.on('data', (response: ScoreResponse) => {
    scores.push(...response.scores);
    models.push(response.model);
  });
  stream.on('error', () => undefined);
  const ended = new Promise<{ code: Status; details: string }>((resolve) => stream.on('status', resolve));
  for (const message of messages) stream.write({ rollouts: [], cancelIds: [], ...message });
  stream.end();
  return { ...(await ended), scores, models };
}

describe('scores', () => {
  test('are those of the members in process, bit for bit, with mean and variance of the calibrated ones', async () => {
    // "is it good ?" after <bos>, "very good soup" before <eos>.
    const sequence = Int32Array.of(0, 2, 3, 4, 11, 7, 4, 9, 1);
    const loaded = await loadEnsemble(ensembleFolder);
    const [raw] = await scoreSequences(loaded, [sequence]);
    const { mean, variance } = ensembleStatistics(raw!, loaded.calibration);
    const [score] = await scoreBatch([rollout('a')]);
    expect(score).toEqual({ id: 'a', status: undefined, memberScores: Array.from(raw!), mean, variance });
    expect(new Set(raw)).toHaveProperty('size', 3);
  });

  test('of text and of token ids of the same tokenizer agree; ids of another tokenizer are ignored', async () => {
    const ids = { promptIds: [0, 2, 3, 4, 11], responseIds: [7, 4, 9, 1] };
    const other = rollout('c', { tokenIds: { tokenizerDigest: 'f'.repeat(64), promptIds: [9], responseIds: [9] } });
    const scores = await scoreBatch([rollout('a'), withIds('b', ids.promptIds, ids.responseIds), other]);
    const [first, ...others] = scores.map(({ memberScores }) => memberScores);
    expect(first).toHaveLength(3);
    for (const scored of others) expect(scored).toEqual(first);
  });

  test('a truncated response gets no end-of-sequence token', async () => {
    const [text, ids] = await scoreBatch([
      rollout('a', { truncated: true }),
      withIds('b', [0, 2, 3, 4, 11], [7, 4, 9]),
    ]);
    expect(text!.memberScores).toEqual(ids!.memberScores);
  });

  test('a response that ended at once is its end-of-sequence token', async () => {
    const otherTokenizer = { tokenizerDigest: 'f'.repeat(64), promptIds: [7], responseIds: [8] };
    const [text, ids] = await scoreBatch([
      rollout('a', { response: '', tokenIds: otherTokenizer }),
      withIds('b', [0, 2, 3, 4, 11], [1]),
    ]);
    expect(text!.memberScores).toEqual(ids!.memberScores);
  });

  test('ids of the own tokenizer are scored whatever the text beside them', async () => {
    const [plain, broken] = await scoreBatch([
      withIds('a', [0, 2], [4, 1]),
      withIds('b', [0, 2], [4, 1], { prompt: { $case: 'text', value: '\uFFFD' }, response: '\uFFFD' }),
    ]);
    expect(plain!.memberScores).toHaveLength(3);
    expect(broken!.memberScores).toEqual(plain!.memberScores);
  });

  test('a prompt too long for the model is cut from the left', async () => {
    const long = Array.from({ length: 100 }, (_, i) => 2 + (i % 9));
    const [cut, short] = await scoreBatch([withIds('a', long, [4, 1]), withIds('b', long.slice(-30), [4, 1])]);
    expect(cut!.memberScores).toEqual(short!.memberScores);
  });

  test('a response that fits in the tokens of its policy and not in ours is read as far as it fits', async () => {
    const long = Array.from({ length: 40 }, (_, i) => 2 + (i % 9));
    const response = long.map((id) => words[id]).join(' ');
    const ofOther = (count: number) => ({
      tokenizerDigest: 'f'.repeat(64),
      promptIds: [7],
      responseIds: Array<number>(count).fill(8),
    });
    const [cut, padding, first, longer, plain] = await scoreBatch([
      rollout('a', { response, tokenIds: ofOther(32) }),
      withIds('b', [0, 2], [4, 4_000], { response }),
      withIds('c', [], long.slice(0, 32)),
      rollout('d', { response, tokenIds: ofOther(33) }),
      rollout('e', { response }),
    ]);
    expect(first!.memberScores).toHaveLength(3);
    for (const { memberScores } of [cut!, padding!]) expect(memberScores).toEqual(first!.memberScores);
    for (const { status } of [longer!, plain!])
      expect(status).toMatchObject({
        code: Status.INVALID_ARGUMENT,
        message: expect.stringContaining('at most 32 fit'),
      });
  });

  test('a prompt that is cut keeps its bos token, as text and as token ids', async () => {
    const long = Array.from({ length: 40 }, (_, i) => 2 + (i % 9));
    const [text, whole, cut, other] = await scoreBatch([
      rollout('a', { prompt: { $case: 'text', value: long.map((id) => words[id]).join(' ') }, response: 'good' }),
      withIds('b', [0, ...long], [4, 1]),
      withIds('c', [0, ...long.slice(-29)], [4, 1]),
      withIds('d', long.slice(-30), [4, 1]),
    ]);
    expect(text!.memberScores).toEqual(cut!.memberScores);
    expect(whole!.memberScores).toEqual(cut!.memberScores);
    expect(whole!.memberScores).not.toEqual(other!.memberScores);
  });

  test('do not depend on what else is in the batch, nor on its order', async () => {
    const many = Array.from({ length: 90 }, (_, i) =>
      withIds(
        `r${i}`,
        [0, 2, 3],
        Array.from({ length: 1 + (i % 20) }, (_, j) => 2 + ((i * 5 + j * 3) % 9)),
      ),
    );
    const together = await scoreBatch(many);
    const { scores: streamed } = await onStream(client, [
      { rollouts: many.slice(50) },
      { rollouts: many.slice(0, 50).reverse() },
    ]);
    const byId = new Map(streamed.map((score) => [score.id, score]));
    expect(together.map(({ id }) => byId.get(id))).toEqual(together);
    for (const i of [0, 33, 89]) expect((await scoreBatch([many[i]!]))[0]).toEqual(together[i]);
  });

  test('name the model that gave them', async () => {
    const { models } = await onStream(client, [{ rollouts: [rollout('a')] }]);
    expect(models).toEqual([ensemble.model]);
    expect(ensemble.model!.version).toBe(ensemble.model!.digest.slice(0, 12));
    expect(ensemble.members.map(({ seed, mean, scale }) => [seed, mean, scale])).toEqual([
      [100n, 0, 1],
      [101n, 0.5, 2],
      [102n, 1, 3],
    ]);
    expect(ensemble.limits).toMatchObject({ maxTokensPerRollout: 32, maxRolloutsPerMessage: 128 });
  });

  test('of one member have no variance', async () => {
    const one = await writeTestEnsemble(folder.path, { name: 'one', members: 1 });
    const { client: alone } = await start({ SUREFOOT_MODEL: one });
    const { scores } = await callUnary(alone, 'scoreBatch', { rollouts: [rollout('a')] }, call);
    expect(scores[0]).toMatchObject({ memberScores: [expect.any(Number)], variance: undefined });
  }, 60_000);
});

test('ids of our tokenizer beyond our vocabulary, as a policy with more rows samples them, leave the text', async () => {
  const [text, beyond, within] = await scoreBatch([
    rollout('a'),
    withIds('b', [0, 2], [4, 12, 1]),
    withIds('c', [0, 2], [4, 1]),
  ]);
  expect(beyond).toEqual({ ...text, id: 'b' });
  expect(within!.mean).not.toBe(text!.mean);
});

describe('bad items fail alone, with what is wrong', () => {
  const conversation = (messages: { role: string; content: string }[]) =>
    rollout('x', { prompt: { $case: 'conversation', value: { messages } } });
  const cases: [string, () => Rollout, string][] = [
    ['no prompt', () => rollout('x', { prompt: undefined }), 'there is no prompt'],
    ['an empty response', () => rollout('x', { response: '' }), 'the response is empty'],
    ['an empty response that was cut', () => rollout('x', { response: '', truncated: true }), 'the response is empty'],
    ['a response too long to read', () => rollout('x', { response: 'x'.repeat(65_537) }), 'more than 65536 characters'],
    ['a prompt with U+FFFD', () => rollout('x', { prompt: { $case: 'text', value: 'a\uFFFD' } }), 'U+FFFD'],
    ['a response with U+FFFD', () => rollout('x', { response: '\uFFFD' }), 'U+FFFD'],
    ['a word outside the vocabulary', () => rollout('x', { response: 'teapot' }), 'not in the vocabulary'],
    ['a response too long for the model', () => rollout('x', { response: 'good '.repeat(40) }), 'at most 32 fit'],
    [
      'a token id outside the vocabulary',
      () => withIds('x', [0], [12], { prompt: undefined }),
      'response_ids[0] is 12; the vocabulary has 12',
    ],
    [
      'a prompt id outside the vocabulary',
      () => withIds('x', [0, 4_294_967_295], [1], { prompt: undefined }),
      'prompt_ids[1] is 4294967295',
    ],
    ['no response id', () => withIds('x', [0], []), 'response_ids is empty'],
    ['too many response ids', () => withIds('x', [0], new Array<number>(33).fill(2)), '33 tokens; the model takes 32'],
    ['an empty conversation', () => conversation([]), 'the conversation has 0 messages'],
    ['a message without a role', () => conversation([{ role: '', content: 'a' }]), 'the role of message 0'],
    ['an id too long', () => rollout('x'.repeat(129)), 'the id must have 1 to 128 characters'],
    ['no id', () => rollout(''), 'the id must have 1 to 128 characters'],
  ];
  test.each(cases)('%s', async (_, make, message) => {
    const [good, bad] = await scoreBatch([rollout('good'), make()]);
    expect(good!.memberScores).toHaveLength(3);
    expect(bad).toMatchObject({
      status: { code: Status.INVALID_ARGUMENT, message: expect.stringContaining(message) },
      memberScores: [],
      mean: undefined,
      variance: undefined,
    });
  });

  test('a conversation where the tokenizer has no chat template says so', async () => {
    const [score] = await scoreBatch([conversation([{ role: 'user', content: 'good' }])]);
    expect(score!.status).toMatchObject({
      code: Status.FAILED_PRECONDITION,
      message: expect.stringContaining('no chat template'),
    });
  });

  test('the second of two equal ids', async () => {
    const scores = await scoreBatch([rollout('a'), rollout('a')]);
    const good = scores.filter(({ status }) => status === undefined);
    const bad = scores.filter(({ status }) => status?.code === Status.INVALID_ARGUMENT);
    expect([good.length, bad.length]).toEqual([1, 1]);
  });

  test('an id that was answered may be used again on the same stream', async () => {
    const { scores, code } = await onStream(client, [{ rollouts: [rollout('', {})] }, { rollouts: [rollout('')] }]);
    expect([code, scores.length]).toEqual([Status.OK, 2]);
  });

  test('a score that is not finite is INTERNAL and forms no mean', async () => {
    const poisoned = await writeTestEnsemble(folder.path, { name: 'poisoned', members: 2, poison: 1 });
    const { client: ill } = await start({ SUREFOOT_MODEL: poisoned });
    const { scores } = await callUnary(ill, 'scoreBatch', { rollouts: [rollout('a')] }, call);
    expect(scores[0]).toEqual({
      id: 'a',
      status: { code: Status.INTERNAL, message: 'member 1 gave a score that is not finite' },
      memberScores: [],
      mean: undefined,
      variance: undefined,
    });
  }, 60_000);
});

describe('bad messages', () => {
  const invalid = { kind: 'invalid_argument' };
  const many = (count: number) => Array.from({ length: count }, (_, i) => rollout(`r${i}`));

  test('an empty batch and one of 129 rollouts are INVALID_ARGUMENT', async () => {
    for (const rollouts of [[], many(129)])
      await expect(callUnary(client, 'scoreBatch', { rollouts }, call)).rejects.toMatchObject(invalid);
  });

  test('a message of 129 rollouts ends a stream with INVALID_ARGUMENT, after everything before it is answered', async () => {
    const { scores, code } = await onStream(client, [{ rollouts: many(20) }, { rollouts: many(129) }]);
    expect([code, scores.length]).toEqual([Status.INVALID_ARGUMENT, 20]);
  });

  test('an oversize message is RESOURCE_EXHAUSTED and the server lives on', async () => {
    const rollouts = [rollout('a', { response: 'x'.repeat(1024 * 1024) })];
    await expect(callUnary(client, 'scoreBatch', { rollouts }, call)).rejects.toMatchObject({
      kind: 'resource_exhausted',
    });
    expect((await onStream(client, [{ rollouts }])).code).toBe(Status.RESOURCE_EXHAUSTED);
    expect(await scoreBatch([rollout('a')])).toHaveLength(1);
  });

  test('3,000 mutated messages leave the server alive and answering', async () => {
    const rollouts = [
      rollout('a'),
      withIds('b', [0, 2], [4, 1], { ttlMs: 5 }),
      rollout('c', { prompt: { $case: 'conversation', value: { messages: [{ role: 'user', content: 'good' }] } } }),
    ];
    const batch = Buffer.from(ScoreBatchRequest.encode({ rollouts }).finish());
    const stream = Buffer.from(ScoreRequest.encode({ rollouts, cancelIds: ['b'] }).finish());
    const { scoreBatch: unary, score: bidi } = RewardEnsembleService;
    for (const [method, message] of [
      [unary, batch],
      [bidi, stream],
    ] as const) {
      const ends = await fuzz(address, method, message, 1_500);
      const allowed: number[] = [Status.OK, Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED];
      expect([...ends.keys()].filter((code) => !allowed.includes(code))).toEqual([]);
    }
    expect((await scoreBatch([rollout('a')]))[0]!.memberScores).toHaveLength(3);
  }, 120_000);
});

describe('a busy server', () => {
  let busy: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    busy = await start({ SUREFOOT_MODEL: ensembleFolder, SUREFOOT_QUEUE_ROLLOUTS: '96', SUREFOOT_THREADS: '1' });
  }, 60_000);
  afterEach(() => void jest.restoreAllMocks());

  /** Holds the batches that the models are given, until it is opened. */
  function holdBatches() {
    const batchSizes: number[] = [];
    const held: (() => void)[] = [];
    let isOpen = false;
    let onBatch!: () => void;
    const first = new Promise<void>((resolve) => (onBatch = resolve));
    const post = Worker.prototype.postMessage;
    jest.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...message) {
      const send = () => post.apply(this, message);
      const { name, input } = message[0] as { name?: string; input?: { lengths: Int32Array } };
      if (name === 'score') batchSizes.push(input!.lengths.length);
      if (name !== 'score' || isOpen) return send();
      held.push(send);
      onBatch();
    });
    const open = () => {
      isOpen = true;
      for (const send of held) send();
    };
    return { batchSizes, first, open };
  }

  const heavy = (prefix: string) => Array.from({ length: 48 }, (_, i) => rollout(`${prefix}${i}`));
  /** Asks for what costs no forward pass; the error where there is no room in the queue. */
  const knock = (idempotent = false) =>
    callUnary(busy.client, 'scoreBatch', { rollouts: [rollout('')] }, { ...call, idempotent });
  async function untilFull() {
    for (;;) {
      const error = await knock().then(
        () => undefined,
        (refusal: unknown) => refusal as { kind: string; cause: ServiceError },
      );
      if (error) return error;
    }
  }

  test('a deadline that passes in the queue is DEADLINE_EXCEEDED', async () => {
    const batches = holdBatches();
    const load = onStream(busy.client, [{ rollouts: heavy('a') }]);
    await batches.first;
    const late = callUnary(busy.client, 'scoreBatch', { rollouts: [rollout('a')] }, { deadlineMs: 50 });
    await expect(late).rejects.toMatchObject({ cause: { code: Status.DEADLINE_EXCEEDED } });
    batches.open();
    expect((await load).scores.filter(({ status }) => status === undefined)).toHaveLength(48);
  });

  test('an item whose time to live ends in the queue fails alone, and so does a cancelled one', async () => {
    const batches = holdBatches();
    const stream = busy.client.score();
    const scores = new Map<string, RolloutScore>();
    const cancelled = new Promise<void>((resolve) =>
      stream.on('data', (response: ScoreResponse) => {
        response.scores.forEach((score) => scores.set(score.id, score));
        if (scores.has('gone')) resolve();
      }),
    );
    const ended = new Promise((resolve) => stream.on('status', resolve));
    stream.write({ rollouts: heavy('a'), cancelIds: [] });
    await batches.first;
    stream.write({ rollouts: [rollout('late', { ttlMs: 1 }), rollout('gone'), rollout('kept')], cancelIds: [] });
    stream.write({ rollouts: [], cancelIds: ['gone', 'never heard of'] });
    stream.end();
    await cancelled;
    // More than the millisecond that the late one has.
    await sleep(5);
    batches.open();
    await ended;
    expect(scores.size).toBe(51);
    expect(scores.get('late')!.status).toMatchObject({ code: Status.DEADLINE_EXCEEDED });
    expect(scores.get('gone')!.status).toMatchObject({ code: Status.CANCELLED });
    expect(scores.get('kept')!.memberScores).toHaveLength(3);
  });

  test('a unary call over the queue bound is RESOURCE_EXHAUSTED with a time to come back, a stream waits', async () => {
    const batches = holdBatches();
    const loads = ['a', 'b', 'c'].map((prefix) => onStream(busy.client, [{ rollouts: heavy(prefix) }]));
    const { kind, cause } = await untilFull();
    expect(kind).toBe('resource_exhausted');
    expect(Number(cause.metadata.get('grpc-retry-pushback-ms')[0])).toBeGreaterThan(0);
    batches.open();
    for (const { scores, code } of await Promise.all(loads)) expect([code, scores.length]).toEqual([Status.OK, 48]);
  });

  test('a client that leaves takes its rollouts with it, and others are served', async () => {
    const batches = holdBatches();
    const stream = busy.client.score().on('error', () => undefined);
    for (const prefix of ['a', 'b']) stream.write({ rollouts: heavy(prefix), cancelIds: [] });
    await Promise.all([batches.first, untilFull()]);
    stream.cancel();
    await knock(true);
    const other = callUnary(busy.client, 'scoreBatch', { rollouts: [rollout('a')] }, call);
    batches.open();
    expect((await other).scores[0]!.memberScores).toHaveLength(3);
    expect(batches.batchSizes.slice(1)).toEqual([1]);
  });
});
