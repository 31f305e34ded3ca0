import { expect, test } from '@jest/globals';
import { createCount } from './progress';

test('the rate and the time left count from where the first unit was begun, the end from the beginning', () => {
  let seconds = 0;
  const count = createCount(3, 'iterations', () => 1000 * seconds);
  expect(count.speed()).toEqual({ rate: '', left: '' });
  seconds = 100;
  count.add(0);
  seconds = 140;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '40.0 s each', left: '1 min 20 s left' });
  count.add(0);
  seconds = 180;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '40.0 s each', left: '40 s left' });
  seconds = 220;
  count.add(1);
  expect(count.speed()).toEqual({ rate: '40.0 s each', left: '3 min 40 s in all' });
});
