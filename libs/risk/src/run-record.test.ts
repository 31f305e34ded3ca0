import { describe, expect, test } from '@jest/globals';
import { parseRunRecord } from './run-record';

// The line shown in the documentation of runs.jsonl.
const complete = {
  method: 'vanilla',
  block: 'data-11',
  run: 0,
  index: 0,
  member: 0,
  seed: 1000,
  status: 'completed',
  iterations: 60,
  initial: { gold: 0.12, judge: -0.4 },
  final: { gold: 0.33, judge: 0.1, kl: 3.02, reward: 1.2 },
  trajectory: { gold: [0.1, 0.2], judge: [0, 1], kl: [0, 1] },
  seconds: 31.2,
};

describe('parseRunRecord', () => {
  test('a whole line comes back as it is', () => {
    expect(parseRunRecord(complete, 'line 1')).toEqual(complete);
  });
  test('null is the same as missing where a field may be missing, and unknown fields are passed over', () => {
    const got = parseRunRecord(
      { ...complete, member: null, trajectory: null, peak: { gold: 0.6, iteration: 22 } },
      'line 1',
    );
    expect(got).toEqual({ ...complete, member: undefined, trajectory: {} });
  });
  test('warnings of the trainer stay', () => {
    const warned = { ...complete, warnings: ['responses are cut'] };
    expect(parseRunRecord(warned, 'line 1')).toEqual(warned);
  });
  test('a failed run needs no values', () => {
    const failed = { ...complete, status: 'failed', initial: undefined, final: undefined };
    expect(parseRunRecord(failed, 'line 1')).toEqual(failed);
  });
  test.each<[unknown, string]>([
    [[], 'the line must be an object, not []'],
    [null, 'the line must be an object, not null'],
    [{ ...complete, method: '' }, 'method must be a text, not ""'],
    [{ ...complete, block: undefined }, 'block must be a text, but it is missing'],
    [{ ...complete, warnings: 'cut' }, 'warnings must be an array of texts, not "cut"'],
    [{ ...complete, run: -1 }, 'run must be a whole number, not -1'],
    [{ ...complete, seed: 0.5 }, 'seed must be a whole number, not 0.5'],
    [{ ...complete, status: 'running' }, 'status must be one of completed, failed, cancelled, not "running"'],
    [{ ...complete, initial: 3 }, 'initial must be an object, not 3'],
    [{ ...complete, final: { gold: 1 } }, 'final.kl must be a finite number, but it is missing'],
    [{ ...complete, final: { ...complete.final, gold: '1' } }, 'final.gold must be a finite number, not "1"'],
    [{ ...complete, final: { kl: 1 } }, 'neither gold nor judge is in both initial and final'],
    [{ ...complete, trajectory: { kl: [1, null] } }, 'trajectory.kl must be an array of finite numbers, not [1,null]'],
  ])('%j is refused by line and field', (value, message) => {
    expect(() => parseRunRecord(value, 'runs.jsonl line 3')).toThrow(
      expect.objectContaining({ kind: 'invalid_argument', message: `runs.jsonl line 3: ${message}` }),
    );
  });
});
