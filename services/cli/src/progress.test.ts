import { expect, test } from '@jest/globals';
import { createCount } from './progress';

test('the rate and the time left count from the first unit, the end from the beginning', () => {
  let seconds = 0;
  const count = createCount(3, 'iterations', () => 1000 * seconds);
  expect(count.speed()).toEqual({ rate: '', left: '' });
  // Whatever came before the first, it says nothing of the others.
  seconds = 140;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '', left: '' });
  seconds = 160;
  count.add(0);
  expect(count.speed()).toEqual({ rate: '', left: '' });
  seconds = 180;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '40.0 s each', left: '40 s left' });
  seconds = 220;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '40.0 s each', left: '3 min 40 s in all' });
});

test('a task of one unit says what it took', () => {
  let seconds = 0;
  const count = createCount(1, 'files', () => 1000 * seconds);
  seconds = 5;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '', left: '5 s in all' });
});
