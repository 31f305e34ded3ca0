import { expect, test } from '@jest/globals';
import { seededIntegers } from './bootstrap';
import { gainLowerBound } from './gain-bound';

const value = (prompt: string, initial: number, final: number) => ({ prompt, initial, final });

test('by hand: three prompts with gains 1, 2 and 3 on average', () => {
  const values = [value('a', 0, 0.5), value('a', 1, 2.5), value('b', 0, 2), value('c', -1, 2)];
  const { mean, sd, lower, prompts, responses } = gainLowerBound(values, 0.95);
  expect([mean, sd, prompts, responses]).toEqual([2, 1, 3, 4]);
  // t of .95 with 2 degrees of freedom is 2.91999
  expect(lower).toBeCloseTo(2 - 2.91999 / Math.sqrt(3), 5);
});

test('a prompt that is asked a hundred times counts once', () => {
  const values = [...Array.from({ length: 100 }, () => value('a', 0, 10)), value('b', 0, 0)];
  expect(gainLowerBound(values, 0.9).mean).toBe(5);
});

test('one prompt bounds nothing, however often it was answered', () => {
  const { lower, sd, mean } = gainLowerBound([value('a', 0, 1), value('a', 0, 3)], 0.5);
  expect([mean, sd, lower]).toEqual([2, NaN, NaN]);
});

test('gains that differ by rounding alone have no spread', () => {
  // (.3 + .1) - .3 and (.7 + .1) - .7 differ in the last bits.
  const values = [0.3, 0.7, 1.1].map((initial) => value(`${initial}`, initial, initial + 0.1));
  expect(new Set(values.map(({ initial, final }) => final - initial)).size).toBeGreaterThan(1);
  expect(gainLowerBound(values, 0.95).sd).toBe(0);
  expect(gainLowerBound([value('a', 0, 1e-9), value('b', 0, 2e-9)], 0.95).sd).toBeGreaterThan(0);
});

test('where responses to one prompt share an error, the bound still holds as often as it says', () => {
  const integer = seededIntegers(5);
  const normal = () => Array.from({ length: 12 }, () => integer(1e6) / 1e6).reduce((sum, u) => sum + u, -6);
  const trials = 2000;
  let held = 0;
  for (let trial = 0; trial < trials; trial++) {
    const values = Array.from({ length: 20 }, (_, prompt) => {
      const shared = normal();
      return Array.from({ length: 5 }, () => value(`${prompt}`, 0, shared + 0.3 * normal()));
    }).flat();
    if (gainLowerBound(values, 0.9).lower <= 0) held++;
  }
  // The true gain is 0. Standard error .007.
  expect(Math.abs(held / trials - 0.9)).toBeLessThan(0.025);
});
