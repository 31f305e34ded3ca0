import { expect, test } from '@jest/globals';
import { warmupThenDecay } from './index';
import './testing';

const rates = (steps: number, warmupSteps: number, finalFraction: number, upTo = steps) =>
  Array.from({ length: upTo }, (_, step) => warmupThenDecay(step, { steps, warmupSteps, peak: 1, finalFraction }));

test('the rate rises over the warm-up and falls to the final fraction at the last step', () => {
  // Steps 0 to 3 rise to the peak; 4 to 7 fall by (1 - 0.2) / 4 each.
  expect(rates(8, 4, 0.2)).toBeAllclose([0.25, 0.5, 0.75, 1, 0.8, 0.6, 0.4, 0.2]);
});

test('without warm-up it starts at the peak, after the end it stays', () => {
  expect(rates(3, 0, 0, 5)).toBeAllclose([1, 0.5, 0, 0, 0]);
});

test('a run of one step has the peak, a run that is all warm-up ends there', () => {
  expect(rates(1, 0, 0.1)).toEqual([1]);
  expect(rates(2, 2, 0.1)).toEqual([0.5, 1]);
});

test.each([
  [{ steps: 0, warmupSteps: 0, peak: 1, finalFraction: 1 }, 'steps is 0'],
  [{ steps: 2, warmupSteps: 3, peak: 1, finalFraction: 1 }, '3 warm-up steps of 2'],
  [{ steps: 2, warmupSteps: 0, peak: NaN, finalFraction: 1 }, 'peak is NaN'],
  [{ steps: 2, warmupSteps: 0, peak: 1, finalFraction: 1.5 }, 'finalFraction is 1.5'],
])('%j is refused', (options, message) => {
  expect(() => warmupThenDecay(0, options)).toThrow(
    expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) }),
  );
});
