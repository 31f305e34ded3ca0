import { expect, test } from '@jest/globals';
import { decimals } from './table';

test.each([
  [-0.0004, '0.000'],
  [-0, '0.000'],
  [0.0004, '0.000'],
  [-0.0006, '-0.001'],
  [-10, '-10.000'],
])('%d is shown as %s: what rounds to 0 has no minus', (value, words) => {
  expect(decimals(value, 3)).toBe(words);
});
