import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { credentials, makeGenericClientConstructor, type Client, type ServiceError } from '@grpc/grpc-js';
import {
  createTestFolder,
  startServiceProcess,
  writeTestEnsemble,
  type ServiceProcess,
} from '@surefoot/scoring-server/testing';
import { createClient } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { RewardEnsembleClient, type ScoreResponse } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { service as healthDefinition } from 'grpc-health-check';

const main = join(__dirname, '..', 'dist', 'main.js');
const folder = createTestFolder();
const processes: ServiceProcess[] = [];
let small: string;
let slow: string;

beforeAll(async () => {
  small = await writeTestEnsemble(folder.path, { name: 'small', members: 1 });
  const shape = { members: 3, hiddenSize: 128, layers: 3, maxPositions: 64 };
  slow = await writeTestEnsemble(folder.path, { name: 'slow', ...shape });
}, 60_000);
afterEach(async () => {
  for (const { child, ended } of processes.splice(0)) {
    child.kill('SIGKILL');
    await ended;
  }
});
afterAll(() => folder.remove());

async function start(environment: Record<string, string>): Promise<ServiceProcess> {
  const started = await startServiceProcess(main, environment);
  processes.push(started);
  return started;
}

const heavy = (id: string): Rollout => ({
  id,
  prompt: { $case: 'text', value: 'is it good ?' },
  response: 'good '.repeat(50),
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
});

describe('a process that cannot start says why in one line and ends with status 1', () => {
  test('every bad variable is named', async () => {
    const { ended, stderr, log } = await start({ SUREFOOT_ADDRESS: 'nowhere', SUREFOOT_TOKEN_BUDGET: '-1' });
    expect(await ended).toBe(1);
    expect(stderr).toHaveLength(1);
    for (const problem of [
      'SUREFOOT_MODEL is not set',
      'SUREFOOT_ADDRESS is "nowhere"',
      'SUREFOOT_TOKEN_BUDGET is "-1"',
    ])
      expect(stderr[0]).toContain(problem);
    expect(log).toEqual([]);
  });

  test('a missing model folder is named', async () => {
    const { ended, stderr } = await start({ SUREFOOT_MODEL: join(folder.path, 'none') });
    expect(await ended).toBe(1);
    expect(stderr).toEqual([expect.stringMatching(/^reward-ensemble: .*none.*does not exist/)]);
  });

  test('a port in use is named', async () => {
    const first = await start({ SUREFOOT_MODEL: small });
    const second = await start({ SUREFOOT_MODEL: small, SUREFOOT_ADDRESS: first.address });
    expect(await second.ended).toBe(1);
    expect(second.stderr).toEqual([
      expect.stringContaining(`cannot listen on ${first.address}: another process uses that port`),
    ]);
  }, 30_000);

  test('a backend that is not there, and a GPU that is required and not there, are named', async () => {
    const nowhere = { SUREFOOT_BACKEND: 'tensorflow', SUREFOOT_TENSORFLOW_DIR: join(folder.path, 'nothing') };
    const missing = await start({ SUREFOOT_MODEL: small, ...nowhere });
    expect(await missing.ended).toBe(1);
    expect(missing.stderr).toEqual([
      'reward-ensemble: backend tensorflow: native TensorFlow is not installed; run npm run install:tensorflow',
    ]);
    const noGpu = await start({ SUREFOOT_MODEL: small, SUREFOOT_BACKEND: 'wasm', SUREFOOT_REQUIRE_GPU: '1' });
    expect(await noGpu.ended).toBe(1);
    expect(noGpu.stderr).toEqual([expect.stringContaining('a GPU is required, and wasm computes on the CPU')]);
  });
});

describe('a running process', () => {
  test('answers health checks while a batch computes', async () => {
    // A message is one batch: 128 rollouts of 56 tokens.
    const { address } = await start({ SUREFOOT_MODEL: slow, SUREFOOT_TOKEN_BUDGET: String(128 * 56) });
    const client = createClient(RewardEnsembleClient, address);
    const Health = makeGenericClientConstructor(healthDefinition as never, 'Health');
    const health = new Health(address, credentials.createInsecure()) as unknown as Client & {
      check(request: object, callback: (error: ServiceError | null, response: { status: string }) => void): void;
    };
    const check = () =>
      new Promise<string>((resolve, reject) =>
        health.check({ service: '' }, (error, { status } = { status: '' }) =>
          error ? reject(error) : resolve(status),
        ),
      );
    const stream = client.score();
    const answers: number[] = [];
    const answered = new Promise((resolve) =>
      stream.on('data', ({ scores }: ScoreResponse) => resolve(answers.push(scores.length))),
    );
    const ended = new Promise((resolve) => stream.on('error', () => undefined).on('status', resolve));
    for (const message of [0, 1])
      stream.write({ rollouts: Array.from({ length: 128 }, (_, i) => heavy(`${message}-${i}`)), cancelIds: [] });
    stream.end();
    await answered;
    // The second message has waited for this, and its batch, all of it, begins now.
    let checks = 0;
    for (; answers.length < 2; checks += 1) expect(await check()).toBe('SERVING');
    await ended;
    client.close();
    health.close();
    expect(answers).toEqual([128, 128]);
    expect(checks).toBeGreaterThan(5);
  }, 60_000);

  test('SIGTERM under load: what was accepted is answered, then UNAVAILABLE, then status 0', async () => {
    const service = await start({ SUREFOOT_MODEL: slow, SUREFOOT_TOKEN_BUDGET: '512' });
    const client = createClient(RewardEnsembleClient, service.address);
    const stream = client.score();
    const answered: string[] = [];
    const first = new Promise<void>((resolve) =>
      stream.on('data', ({ scores }: ScoreResponse) => {
        answered.push(...scores.map(({ id }) => id));
        resolve();
      }),
    );
    stream.on('error', () => undefined);
    const ended = new Promise<{ code: number }>((resolve) => stream.on('status', resolve));
    for (let message = 0; message < 6; message += 1)
      stream.write({ rollouts: Array.from({ length: 32 }, (_, i) => heavy(`${message}-${i}`)), cancelIds: [] });
    await first;
    service.child.kill('SIGTERM');
    expect((await ended).code).toBe(14);
    client.close();
    expect(await service.ended).toBe(0);
    expect(new Set(answered).size).toBe(answered.length);
    const perMessage = [0, 1, 2, 3, 4, 5].map(
      (message) => answered.filter((id) => id.startsWith(`${message}-`)).length,
    );
    expect(perMessage.filter((count) => count !== 0 && count !== 32)).toEqual([]);
    expect(perMessage[0]).toBe(32);
    expect(service.log.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['starting', 'listening', 'stopping', 'stopped']),
    );
  }, 60_000);

  test('ends when its parent does, since its stdin then closes', async () => {
    const service = await start({ SUREFOOT_MODEL: small });
    service.child.stdin!.destroy();
    expect(await service.ended).toBe(0);
  }, 30_000);
});
