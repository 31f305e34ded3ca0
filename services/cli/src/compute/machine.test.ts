import { availableParallelism } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { machine, threadsOfEach } from './machine';

const cores = availableParallelism();

describe('threadsOfEach', () => {
  test('is an equal share of the processors, and at least one', () => {
    expect(threadsOfEach({}, 1)).toBe(cores);
    expect(threadsOfEach({}, cores)).toBe(1);
    expect(threadsOfEach({}, 10 * cores)).toBe(1);
    // Nothing computes here where all is at addresses.
    expect(threadsOfEach({}, 0)).toBe(cores);
  });

  test('is what the environment says, whatever else computes', () => {
    expect(threadsOfEach({ SUREFOOT_THREADS: '7' }, 100)).toBe(7);
    expect(() => threadsOfEach({ SUREFOOT_THREADS: '0' }, 1)).toThrow('SUREFOOT_THREADS is "0"');
  });
});

test('a command alone has all processors, and needs no GPU', () => {
  expect(machine({})).toEqual({ threads: cores, requireGpu: false });
  expect(machine({ SUREFOOT_THREADS: '', SUREFOOT_REQUIRE_GPU: '1' })).toEqual({ threads: cores, requireGpu: true });
});
