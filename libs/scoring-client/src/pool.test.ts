import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { workerFile } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { createScoringPool, type EnsembleScore, type ScoringPool } from './index';
import { fakeScore, type FakeScorer } from './testing';

interface Scorer {
  address: string;
  child: ChildProcess;
  /** Resolves when it has logged the message. */
  says(message: string): Promise<void>;
}

const scorers: Scorer[] = [];
const pools: ScoringPool<EnsembleScore>[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  for (const pool of pools.splice(0)) pool.close();
  for (const { child } of scorers.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

async function startScorer(options: FakeScorer = {}): Promise<Scorer> {
  const child = spawn(process.execPath, [workerFile(__dirname, 'testing'), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! });
  const heard = new Map<string, { address?: string }>();
  lines.on('line', (line) => {
    const entry = JSON.parse(line) as { msg: string; address?: string };
    heard.set(entry.msg, entry);
  });
  const ended = once(child, 'exit').then(() => {
    throw new Error('the scorer ended before it said what was awaited');
  });
  const says = async (message: string) => {
    while (!heard.has(message)) await Promise.race([once(lines, 'line'), ended]);
  };
  const scorer = { address: '', child, says };
  scorers.push(scorer);
  await says('listening');
  return Object.assign(scorer, { address: heard.get('listening')!.address! });
}

/** Lets the clock by which silence is measured run ahead. */
function setClockAhead(): (ms: number) => void {
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs);
  return (ms) => void (aheadMs += ms);
}

function openPool(addresses: string[], options: { giveUpMs?: number; silenceMs?: number } = {}) {
  const pool = createScoringPool({ kind: 'reward-ensemble', addresses, giveUpMs: 30_000, ...options });
  pools.push(pool);
  return pool;
}

const rollout = (response: string, id = 'x'): Rollout => ({
  id,
  prompt: { $case: 'text', value: 'a prompt' },
  response,
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
});
const rollouts = (count: number, from = 0) => Array.from({ length: count }, (_, i) => rollout(`response ${from + i}`));
const expected = (items: Rollout[]) =>
  items.map((item) => ({ memberScores: [fakeScore(item), -fakeScore(item)], mean: fakeScore(item), variance: 1 }));
const settled = ({ sent, answered, redispatched, duplicates }: ReturnType<ScoringPool<unknown>['counters']>) => ({
  balance: sent - redispatched - answered,
  answered,
  duplicates,
});

describe('a pool of healthy replicas', () => {
  test('gives scores in request order although answers come in another, whatever the ids', async () => {
    const pool = openPool([(await startScorer({ delayMs: 50 })).address]);
    const items = rollouts(1_000);
    expect(await pool.score(items)).toEqual(expected(items));
    expect(settled(pool.counters())).toEqual({ balance: 0, answered: 1_000, duplicates: 0 });
  });

  test('several calls at once and an empty one do not mix', async () => {
    const pool = openPool([(await startScorer()).address, (await startScorer()).address]);
    const chunks = [rollouts(70), rollouts(33, 500), [], rollouts(1, 900)];
    expect(await Promise.all(chunks.map((chunk) => pool.score(chunk)))).toEqual(chunks.map(expected));
  });

  test('keeps within what a replica lets be outstanding', async () => {
    const pool = openPool([(await startScorer({ maxOutstanding: 3 })).address]);
    const items = rollouts(50);
    expect(await pool.score(items)).toEqual(expected(items));
  });

  test('packs by bytes: 40 rollouts of 90,000 characters need more than one message of 1 MiB', async () => {
    const pool = openPool([(await startScorer()).address]);
    const items = Array.from({ length: 40 }, (_, i) => rollout(`${i}${'é'.repeat(90_000)}`));
    expect(await pool.score(items)).toEqual(expected(items));
  });

  test('describes what it serves', async () => {
    const pool = openPool([(await startScorer()).address]);
    expect(await pool.describe()).toMatchObject({ model: { name: 'fake' }, limits: { maxRolloutsPerMessage: 128 } });
  });
});

describe('items that fail', () => {
  test('the first refused rollout in request order is named, the others are scored', async () => {
    const pool = openPool([(await startScorer({ delayMs: 30 })).address]);
    const items = [rollout('a', 'one'), rollout('bad', 'two'), rollout('b', 'three'), rollout('bad', 'four')];
    await expect(pool.score(items)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: 'rollout "two": a bad response',
    });
    expect(settled(pool.counters())).toEqual({ balance: 0, answered: 4, duplicates: 0 });
  });

  test('a rollout too large for any message fails alone', async () => {
    const pool = openPool([(await startScorer()).address]);
    const large = pool.score([rollout('x'.repeat(1024 * 1024), 'large')]).catch((error: unknown) => error);
    const items = rollouts(3);
    expect(await pool.score(items)).toEqual(expected(items));
    expect(await large).toMatchObject({
      kind: 'invalid_argument',
      message: 'rollout "large": it does not fit into a message of 1048576 bytes',
    });
  });

  test('an answer that comes twice is counted and ignored', async () => {
    const pool = openPool([(await startScorer()).address]);
    const items = [rollout('twice'), ...rollouts(10)];
    expect(await pool.score(items)).toEqual(expected(items));
    await pool.score(rollouts(20, 100));
    expect(settled(pool.counters())).toEqual({ balance: 0, answered: 31, duplicates: 1 });
  });

  test('an aborted call rejects at once and its rollouts are cancelled at the replica', async () => {
    const scorer = await startScorer();
    const pool = openPool([scorer.address]);
    const abort = new AbortController();
    const waiting = pool.score([rollout('slow'), rollout('slow')], { signal: abort.signal });
    await scorer.says('slow');
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await pool.score(rollouts(1));
    expect(settled(pool.counters())).toMatchObject({ balance: 0, answered: 3 });
  });
});

describe('replicas that die', () => {
  /** Two replicas that owe answers which they hold: more is asked than one of them takes. */
  async function askTwo() {
    const [first, second] = await Promise.all([startScorer({ holds: true }), startScorer({ holds: true })]);
    const pool = openPool([first.address, second.address]);
    const items = rollouts(2_000);
    const scoring = pool.score(items);
    await Promise.all([first.says('holding'), second.says('holding')]);
    return { first, second, pool, items, scoring };
  }
  const release = ({ child }: Scorer) => child.stdin!.write('\n');

  test('kill -9 of one of two in mid-flight loses and doubles nothing', async () => {
    const { first, second, pool, items, scoring } = await askTwo();
    first.child.kill('SIGKILL');
    release(second);
    expect(await scoring).toEqual(expected(items));
    const counters = pool.counters();
    expect(settled(counters)).toEqual({ balance: 0, answered: 2_000, duplicates: 0 });
    expect(counters.redispatched).toBeGreaterThan(0);
  });

  test('the only replica may be restarted in mid-flight', async () => {
    const first = await startScorer({ holds: true });
    const pool = openPool([first.address]);
    const items = rollouts(300);
    const scoring = pool.score(items);
    await first.says('holding');
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    await startScorer({ address: first.address });
    expect(await scoring).toEqual(expected(items));
    const counters = pool.counters();
    expect(settled(counters)).toEqual({ balance: 0, answered: 300, duplicates: 0 });
    expect(counters.redispatched).toBeGreaterThan(0);
  });

  test('a replica that drains answers what it has accepted, another takes the rest', async () => {
    const { first, second, pool, items, scoring } = await askTwo();
    first.child.kill('SIGTERM');
    await first.says('draining');
    release(first);
    release(second);
    expect(await scoring).toEqual(expected(items));
    expect(settled(pool.counters())).toEqual({ balance: 0, answered: 2_000, duplicates: 0 });
    if (first.child.exitCode === null) await once(first.child, 'exit');
    expect(first.child.exitCode).toBe(0);
  });

  test('a stopped replica is noticed by keepalive and its rollouts go elsewhere', async () => {
    const { first, second, pool, items, scoring } = await askTwo();
    first.child.kill('SIGSTOP');
    release(second);
    expect(await scoring).toEqual(expected(items));
    const counters = pool.counters();
    expect(settled(counters)).toEqual({ balance: 0, answered: 2_000, duplicates: 0 });
    expect(counters.redispatched).toBeGreaterThan(0);
  });

  test('a slow scorer has all the time it needs, as long as it answers something now and then', async () => {
    const pass = setClockAhead();
    const pool = openPool([(await startScorer({ paceMs: 250 })).address], { silenceMs: 60_000 });
    const items = rollouts(12);
    const scores = items.map(async (item) => {
      const [score] = await pool.score([item]);
      pass(30_000);
      return score;
    });
    expect(await Promise.all(scores)).toEqual(expected(items));
    expect(pool.counters()).toEqual({ sent: 12, answered: 12, redispatched: 0, duplicates: 0 });
  });

  test('a stream that is alive and silent is given up', async () => {
    const pass = setClockAhead();
    const scorer = await startScorer({ silentStreams: 1 });
    const pool = openPool([scorer.address], { silenceMs: 60_000 });
    const items = rollouts(20);
    const scoring = pool.score(items);
    await scorer.says('silent');
    pass(60_000);
    expect(await scoring).toEqual(expected(items));
    expect(pool.counters()).toEqual({ sent: 40, answered: 20, redispatched: 20, duplicates: 0 });
  });

  test('a rollout that kills every process it comes to is given up, the others are scored', async () => {
    const keepAlive = async (address?: string): Promise<void> => {
      const scorer = await startScorer(address ? { address } : {});
      if (!address) addresses.push(scorer.address);
      scorer.child.once('exit', () => !isDone && void keepAlive(scorer.address));
    };
    const addresses: string[] = [];
    let isDone = false;
    await keepAlive();
    const pool = openPool(addresses);
    const poison = pool.score([rollout('crash', 'poison')]).catch((error: unknown) => error);
    expect(await poison).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('rollout "poison"') });
    const items = rollouts(5);
    expect(await pool.score(items)).toEqual(expected(items));
    isDone = true;
  }, 60_000);
});

describe('pools that cannot work', () => {
  test('with nobody there it gives up and names the addresses and the reasons', async () => {
    // No resolver is asked for a name with an empty part.
    const pool = openPool(['127.0.0.1:1', 'no-such-host..invalid:2'], { giveUpMs: 1_500 });
    const failure = {
      kind: 'unavailable',
      message: expect.stringMatching(
        /^no scorer could be used for 1\.5 s at 127\.0\.0\.1:1, no-such-host\.\.invalid:2: no-such-host.*connection refused/s,
      ),
    };
    const calls = [pool.score(rollouts(1)), pool.describe()];
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(failure)));
  });

  test('replicas of different models are refused', async () => {
    const addresses = [
      (await startScorer({ digest: 'a'.repeat(64) })).address,
      (await startScorer({ digest: 'b'.repeat(64) })).address,
    ];
    const pool = openPool(addresses);
    const scoring = async () => {
      for (;;) await pool.score(rollouts(2));
    };
    await expect(scoring()).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(
        /serves fake@(a{12}|b{12}), .* serves fake@(a{12}|b{12}): scores of different models/,
      ),
    });
  });

  test('a scorer of another kind is refused at once', async () => {
    const pool = createScoringPool({ kind: 'judge', addresses: [(await startScorer()).address] });
    await expect(pool.describe()).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringContaining('serves something else'),
    });
    pool.close();
  });

  test('an address that is none is refused when the pool is made', () => {
    expect(() => openPool(['localhost'])).toThrow('"localhost" is no address: it must be HOST:PORT');
  });

  test('a closed pool fails what waits and what comes', async () => {
    const scorer = await startScorer();
    const pool = openPool([scorer.address]);
    const waiting = pool.score([rollout('slow')]);
    await scorer.says('slow');
    pool.close();
    await expect(waiting).rejects.toMatchObject({ kind: 'aborted' });
    await expect(pool.score(rollouts(1))).rejects.toMatchObject({ kind: 'aborted' });
  });
});
