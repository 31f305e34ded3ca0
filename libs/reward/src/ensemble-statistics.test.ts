import { describe, expect, test } from '@jest/globals';
import { pearson } from '@surefoot/risk';
import { calibrationOf, ensembleStatistics, memberCorrelation } from './ensemble-statistics';

describe('ensembleStatistics', () => {
  test('divides by K - 1', () => {
    // mean 2, squares 1 + 0 + 1 over 2
    expect(ensembleStatistics([1, 2, 3])).toEqual({ mean: 2, variance: 1 });
  });
  test('puts raw scores on one scale first', () => {
    // (3 - 1) / 2 = 1 and (5 - 2) / 1 = 3: mean 2, variance 2
    const calibration = [
      { mean: 1, scale: 2 },
      { mean: 2, scale: 1 },
    ];
    expect(ensembleStatistics([3, 5], calibration)).toEqual({ mean: 2, variance: 2 });
  });
  test('has no variance of one member', () => {
    expect(ensembleStatistics([4], [{ mean: 2, scale: 2 }])).toEqual({ mean: 1, variance: null });
  });
  test('refuses no scores, and a calibration of another ensemble', () => {
    expect(() => ensembleStatistics([])).toThrow('0 scores');
    expect(() => ensembleStatistics([1, 2], [{ mean: 0, scale: 1 }])).toThrow('2 scores for 1 members');
  });
});

describe('calibrationOf', () => {
  test('gives each member its mean and standard deviation', () => {
    // member 0: 1, 3: mean 2, sd 1; member 1: 0, 4: mean 2, sd 2
    expect(
      calibrationOf([
        [1, 0],
        [3, 4],
      ]),
    ).toEqual([
      { mean: 2, scale: 1 },
      { mean: 2, scale: 2 },
    ]);
  });
  test('names the member whose scores do not vary, or are not finite', () => {
    const same = [
      [1, 5],
      [2, 5],
    ];
    expect(() => calibrationOf(same)).toThrow('reward member 1 gives all 2 samples the same score');
    expect(() => calibrationOf([[NaN], [1]])).toThrow('not finite');
  });
});

describe('memberCorrelation', () => {
  test('is the mean of the correlations of each two members', () => {
    const scores = [
      [1, 2, 9],
      [2, 1, 7],
      [3, 5, 8],
      [5, 4, 1],
    ];
    const [a, b, c] = [0, 1, 2].map((k) => scores.map((row) => row[k]!)) as [number[], number[], number[]];
    expect(memberCorrelation(scores)).toBeCloseTo((pearson(a, b) + pearson(a, c) + pearson(b, c)) / 3, 12);
  });
  test('is 1 where members differ in mean and scale alone, and null for one', () => {
    expect(memberCorrelation([0, 1, 2, 4].map((score) => [score, 3 * score + 7]))).toBeCloseTo(1, 12);
    expect(memberCorrelation([[1], [2]])).toBeNull();
  });
});
