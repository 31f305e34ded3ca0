import { expect, test } from '@jest/globals';
import { seededIntegers } from './bootstrap';
import { gainLowerBound } from './gain-bound';

const value = (prompt: string, initial: number, final: number) => ({ prompt, initial, final });

test('by hand: three prompts with gains 1, 2 and 3 on average', () => {
  const values = [value('a', 0, 0.5), value('a', 1, 2.5), value('b', 0, 2), value('c', -1, 2)];
  const { mean, lower, prompts, responses } = gainLowerBound(values, 0.95);
  expect([mean, prompts, responses]).toEqual([2, 3, 4]);
  // t of .95 with 2 degrees of freedom is 2.91999
  expect(lower).toBeCloseTo(2 - 2.91999 / Math.sqrt(3), 5);
});

test('a prompt that is asked a hundred times counts once', () => {
  const values = [...Array.from({ length: 100 }, () => value('a', 0, 10)), value('b', 0, 0)];
  expect(gainLowerBound(values, 0.9).mean).toBe(5);
});

test('one prompt: its responses count', () => {
  const { lower, mean } = gainLowerBound([value('a', 0, 1), value('a', 0, 3)], 0.5);
  expect([mean, lower]).toEqual([2, 2]);
  expect(gainLowerBound([value('a', 0, 1)], 0.95).lower).toBeNaN();
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
