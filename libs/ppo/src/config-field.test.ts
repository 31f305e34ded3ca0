import { expect, test } from '@jest/globals';
import { real } from './config-field';

test.each([
  ['(0, 1]', 'a number in (0, 1]'],
  ['(0, Infinity)', 'a number above 0'],
  ['[0, Infinity)', 'a number of at least 0'],
  ['(-Infinity, Infinity)', 'a finite number'],
])('a number outside %s was expected to be %s', (interval, words) => {
  expect(real(1, interval).expected(NaN)).toBe(words);
  expect(real(1, interval).expected(0.5)).toBeUndefined();
});
