import { describe, expect, test } from '@jest/globals';
import { lengthBuckets } from './length-buckets';

describe('lengthBuckets', () => {
  test('groups neighbours in length within the budget', () => {
    // sorted: 1 (index 1), 2 (3), 3 (0), 9 (2); 2 × 2 fits in 4, 3 × 3 and 2 × 9 do not
    expect(lengthBuckets([3, 1, 9, 2], 4)).toEqual([[1, 3], [0], [2]]);
  });
  test('loses nothing and doubles nothing', () => {
    const lengths = Array.from({ length: 100 }, (_, i) => 1 + ((i * 37) % 50));
    const buckets = lengthBuckets(lengths, 120);
    expect(buckets.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    for (const bucket of buckets)
      expect(bucket.length * Math.max(...bucket.map((i) => lengths[i] as number))).toBeLessThanOrEqual(120);
  });
  test('has no group of nothing', () => {
    expect(lengthBuckets([], 10)).toEqual([]);
  });
});
