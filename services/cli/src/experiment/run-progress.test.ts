import { expect, test } from '@jest/globals';
import { tenths } from './run-progress';

test.each([
  [1, []],
  [4, [1, 2, 3]],
  [60, [6, 12, 18, 24, 30, 36, 42, 48, 54]],
  [75, [8, 15, 23, 30, 38, 45, 53, 60, 68]],
])('of %i runs the table is due after %j', (runs, expected) => {
  expect([...tenths(runs)]).toEqual(expected);
});
