import { expect, test } from '@jest/globals';
import { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { packMessages } from './pack';
import { shareOut } from './share-out';

const taker = (name: string, outstanding: number, room: number) => ({
  name,
  outstanding: () => outstanding,
  room: () => room,
});
const byName = ({ shares, rest }: ReturnType<typeof shareOut<number, ReturnType<typeof taker>>>) => ({
  shares: Object.fromEntries(shares.map((share) => [share.taker.name, share.items])),
  rest,
});

test('each item goes to the taker with the fewest', () => {
  // a has 3, b has 1: b gets two to draw level, then they alternate, a first.
  const takers = [taker('a', 3, 10), taker('b', 1, 10)];
  expect(byName(shareOut([1, 2, 3, 4, 5], takers))).toEqual({ shares: { a: [3, 5], b: [1, 2, 4] }, rest: [] });
});

test('nobody gets more than there is room for, and the rest stays in order', () => {
  const takers = [taker('a', 0, 1), taker('b', 9, 2), taker('full', 0, 0)];
  expect(byName(shareOut([1, 2, 3, 4, 5], takers))).toEqual({ shares: { a: [1], b: [2, 3] }, rest: [4, 5] });
  expect(byName(shareOut([1], []))).toEqual({ shares: {}, rest: [1] });
});

const item = (response: string) => ({
  rollout: Rollout.fromPartial({ id: '1', prompt: { $case: 'text', value: 'p' }, response }),
});

test.each([
  ['x', 7_000],
  ['é', 60_000],
  ['漢', 100_000],
  ['😀', 100_000],
])('messages of %s stay within both limits and nothing is left out', (character, length) => {
  const limits = { maxRolloutsPerMessage: 128, maxMessageBytes: 1024 * 1024 };
  const items = Array.from({ length: 300 }, () => item(character.repeat(length / character.length)));
  const { messages, tooLarge } = packMessages(items, limits);
  expect(tooLarge).toEqual([]);
  expect(messages.flat()).toEqual(items);
  for (const message of messages) {
    const bytes = message.reduce((sum, { rollout }) => sum + Rollout.encode(rollout).finish().length + 8, 0);
    expect(bytes).toBeLessThanOrEqual(limits.maxMessageBytes);
    expect(message.length).toBeLessThanOrEqual(128);
  }
});

test('the count bounds a message where the bytes do not', () => {
  const items = Array.from({ length: 300 }, () => item('x'));
  const { messages } = packMessages(items, { maxRolloutsPerMessage: 128, maxMessageBytes: 1024 * 1024 });
  expect(messages.map((message) => message.length)).toEqual([128, 128, 44]);
});

test('a rollout that fits exactly is sent, one byte more is too large', () => {
  const exact = Rollout.encode(item('x'.repeat(1000)).rollout).finish().length;
  const fits = (maxMessageBytes: number) =>
    packMessages([item('x'.repeat(1000))], { maxRolloutsPerMessage: 1, maxMessageBytes }).messages.length === 1;
  expect(fits(exact + 16)).toBe(true);
  expect(fits(exact + 15)).toBe(false);
});
