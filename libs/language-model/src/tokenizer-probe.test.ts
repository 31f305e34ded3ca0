import { expect, test } from '@jest/globals';
import { withinTime } from './tokenizer-probe';

test('the limit is one of processor time: waiting for a busy processor is no slowness', () => {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let calls = 0;
  // Waits without computing, as a process does whose turn does not come.
  withinTime(() => {
    calls += 1;
    Atomics.wait(cell, 0, 0, 300);
  }, 100);
  expect(calls).toBe(2);
});

test('what computes beyond the limit is stopped', () => {
  const endless = () => {
    for (;;);
  };
  expect(() => withinTime(endless, 100)).toThrow('takes longer than 0.1 s');
});

test('what it throws is thrown', () => {
  expect(() =>
    withinTime(() => {
      throw new Error('no such pattern');
    }),
  ).toThrow('no such pattern');
});
