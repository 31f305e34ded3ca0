import { describe, expect, test } from '@jest/globals';
import { maskedMean, maskedVariance, whiten } from './index';
import './testing';

// Under the mask: 1, 2, 6. Mean 3; squared distances 4, 1, 9: variance 14/3, unbiased 7.
const x = [1, NaN, 2, 6, NaN];
const mask = [1, 0, 1, 1, 0];
const invalid = (message: string) =>
  expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) });

describe('masked statistics', () => {
  test('mean and variances by hand, without a look at what is masked', () => {
    expect(maskedMean(x, mask)).toBe(3);
    expect(maskedVariance(x, mask)).toBeCloseTo(14 / 3, 12);
    expect(maskedVariance(x, mask, { unbiased: true })).toBeCloseTo(7, 12);
  });

  test('whiten by hand: (x - 3) / sqrt(14/3), 0 where masked', () => {
    const sd = Math.sqrt(14 / 3);
    expect(whiten(x, mask, { epsilon: 0 })).toBeAllclose([-2 / sd, 0, -1 / sd, 3 / sd, 0], { atol: 1e-12 });
    const kept = whiten(x, mask, { epsilon: 2, unbiased: true, shiftMean: false });
    expect(kept).toBeAllclose([3 - 2 / 3, 0, 3 - 1 / 3, 3 + 1, 0], { atol: 1e-12 });
  });

  test('whitened numbers have mean 0 and variance 1', () => {
    const white = whiten(x, mask);
    expect(maskedMean(white, mask)).toBeCloseTo(0, 12);
    expect(maskedVariance(white, mask)).toBeCloseTo(1, 7);
  });

  test('equal numbers whiten to 0', () => {
    expect([...whiten([5, 5], [1, 1])]).toEqual([0, 0]);
  });

  test('a small spread around a large mean is not lost', () => {
    expect(maskedVariance([1e9, 1e9 + 1, 1e9 + 2], [1, 1, 1])).toBeCloseTo(2 / 3, 12);
  });

  test('an empty mask, other lengths, other numbers and one element for an unbiased variance are refused', () => {
    expect(() => maskedMean([1], [0])).toThrow(invalid('leaves no element'));
    expect(() => maskedMean([1, 2], [1])).toThrow(invalid('2 elements under a mask of 1'));
    expect(() => maskedMean([1], [0.5])).toThrow(invalid('mask[0] is 0.5'));
    expect(() => maskedVariance([1, 2], [1, 0], { unbiased: true })).toThrow(invalid('two elements'));
  });
});
