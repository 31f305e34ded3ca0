import { expect, test } from '@jest/globals';
import { createBatcher, type Waiting } from './batcher';

/** A batcher whose batches are recorded, each computing until `finish` is called. */
function setUp(tokenBudget: number) {
  const batches: number[][] = [];
  let finish = () => {};
  const compute = async (sequences: Int32Array[]) => {
    batches.push(sequences.map((sequence) => sequence[0]!));
    await new Promise<void>((resolve) => (finish = resolve));
    if (sequences.some((sequence) => sequence[0] === 13)) throw new Error('unlucky');
    return sequences.map((sequence) => Float32Array.of(sequence[0]!));
  };
  const batcher = createBatcher(compute, tokenBudget);
  const said: Record<number, string> = {};
  const settled = new Set<number>();
  const add = (id: number, tokens = 1, expiresAt = Infinity) =>
    batcher.add({
      sequence: new Int32Array(tokens).fill(id),
      expiresAt,
      isSettled: () => settled.has(id),
      onScores: (scores) => (said[id] = `score ${scores[0]}`),
      onExpired: () => (said[id] = 'expired'),
      onError: (error) => (said[id] = (error as Error).message),
    } satisfies Waiting);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { batches, said, settled, add, turn, next: () => (finish(), turn()) };
}

test('what comes in one go is one batch; what comes while it computes is the next', async () => {
  const { batches, said, add, turn, next } = setUp(100);
  for (const id of [1, 2, 3]) add(id);
  await turn();
  add(4);
  add(5);
  await next();
  await next();
  expect(batches).toEqual([
    [1, 2, 3],
    [4, 5],
  ]);
  expect(said).toEqual({ 1: 'score 1', 2: 'score 2', 3: 'score 3', 4: 'score 4', 5: 'score 5' });
});

test('a batch keeps within the token budget, oldest first; one longer than the budget goes alone', async () => {
  const { batches, add, turn, next } = setUp(10);
  for (const [id, tokens] of [
    [1, 6],
    [2, 4],
    [3, 1],
    [4, 25],
    [5, 1],
  ] as const)
    add(id, tokens);
  await turn();
  for (let i = 0; i < 4; i += 1) await next();
  expect(batches).toEqual([[1, 2], [3], [4], [5]]);
});

test('what was settled or has expired meanwhile costs no forward pass', async () => {
  const { batches, said, settled, add, turn, next } = setUp(100);
  add(1);
  await turn();
  add(2, 1, performance.now() - 1);
  add(3);
  add(4);
  settled.add(3);
  await next();
  await next();
  expect(batches).toEqual([[1], [4]]);
  expect(said).toEqual({ 1: 'score 1', 2: 'expired', 4: 'score 4' });
});

test('a batch that fails fails its own sequences and no others', async () => {
  const { said, add, turn, next } = setUp(1);
  for (const id of [12, 13, 14]) add(id);
  await turn();
  for (let i = 0; i < 3; i += 1) await next();
  expect(said).toEqual({ 12: 'score 12', 13: 'unlucky', 14: 'score 14' });
});

test('it goes on after it has been empty', async () => {
  const { batches, add, turn, next } = setUp(10);
  add(1);
  await turn();
  await next();
  add(2);
  await turn();
  await next();
  expect(batches).toEqual([[1], [2]]);
});
