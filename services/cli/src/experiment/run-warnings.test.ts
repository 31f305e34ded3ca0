import { expect, test } from '@jest/globals';
import { sayOnce } from './run-warnings';

test('a text that several runs bring again and again is said once', () => {
  const lines: string[] = [];
  const say = sayOnce((line) => lines.push(line));
  say([]);
  say(['cut']);
  say(['cut', 'rounded']);
  say(['rounded', 'cut']);
  expect(lines).toEqual(['warning: cut', 'warning: rounded']);
});
