import { describe, expect, test } from '@jest/globals';
import { expectedCalibrationError } from '../held-out-report';
import { benchmarkReport, type ScoredItem } from './benchmark-report';
import { coverageCurve } from './coverage';
import { decide } from './decide';
import { reliability } from './reliability';

describe('an item', () => {
  test('is right where the chosen score is larger; a tie has margin 0', () => {
    expect(decide([2, 1.5], 1, 'llmbar-natural').margin).toBe(0.5);
    expect(decide([1.5, 1.5], 1, 'llmbar-natural').margin).toBe(0);
  });
  test('with many answers is the best right one against the best wrong one', () => {
    expect(decide([1, 4, 2, 3.5, -9], 2, 'Math')).toEqual({ chosen: 1, rejected: 3, margin: 0.5 });
  });
  test('of Ties needs every right answer above every wrong one', () => {
    expect(decide([1, 4, 2, 3.5, -9], 2, 'Ties')).toEqual({ chosen: 0, rejected: 3, margin: -2.5 });
    expect(decide([5, 4, 2, 3.5, -9], 2, 'Ties').margin).toBe(0.5);
  });
});

describe('two members, calibrated to scales 1 and 2', () => {
  const pair = (chosen: number[], rejected: number[], subset = 'llmbar-natural'): ScoredItem => ({
    ...{ id: subset, subset, correct: 1 },
    scores: [chosen, rejected],
  });
  const report = benchmarkReport(
    [
      pair([5, 12], [1, 4]), // differences 4 and 8 / 2 = 4: margin 4, variance 0
      pair([1, 12], [2, 4]), // -1 and 4: margin 1.5, variance 12.5
      pair([1, 4], [2, 12], 'mine'), // -1 and -4: margin -2.5, variance 4.5
      pair([3, 4], [2, 6], 'mine'), // 1 and -1: a tie, variance 2
    ],
    [
      { mean: 1, scale: 1 },
      { mean: 4, scale: 2 },
    ],
  );
  test('margin of the mean and variance over members of each item', () => {
    expect(report.items.map(({ margin, variance }) => [margin, variance])).toEqual([
      [4, 0],
      [1.5, 12.5],
      [-2.5, 4.5],
      [0, 2],
    ]);
    expect(report.items.map(({ membersRight }) => membersRight)).toEqual([2, 1, 0, 1]);
  });
  test('the mean and every member are counted, a tie as wrong', () => {
    expect(report.mean).toMatchObject({ name: 'mean', items: 4, correct: 2, ties: 1, accuracy: 0.5 });
    expect(report.mean.subsets['mine']).toMatchObject({ items: 2, correct: 0, ties: 1 });
    expect(report.members.map(({ name, correct, ties }) => [name, correct, ties])).toEqual([
      ['member-0', 2, 0],
      ['member-1', 2, 0],
    ]);
  });
  test('probabilities are of log-odds: raw differences of a member, the mean’s times the mean scale', () => {
    // log-odds of the mean 6, 2.25, -3.75, 0: Brier the mean of (1 - sigmoid)^2
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    const brier = (logOdds: number[]) => logOdds.reduce((sum, x) => sum + sigmoid(-x) ** 2, 0) / logOdds.length;
    expect(report.mean.calibration.brier).toBeCloseTo(brier([6, 2.25, -3.75, 0]), 12);
    expect(report.members[1]?.calibration.brier).toBeCloseTo(brier([8, 8, -8, -2]), 12);
  });
  test('confident means above .9, log-odds of 2.197: two right and one wrong of four', () => {
    expect(report.mean.confident).toEqual({ above: 0.9, right: 0.5, wrong: 0.25 });
    expect(report.members[0]?.confident).toEqual({ above: 0.9, right: 0.25, wrong: 0 });
  });
  test('leaving out the items of largest variance first', () => {
    // order right, tie, wrong, right: 1, 1/2, 1/3, 1/2
    expect(report.coverage?.byVariance.points.map(({ accuracy }) => accuracy)).toEqual([1, 0.5, 1 / 3, 0.5]);
    expect(report.coverage?.byVariance.area).toBeCloseTo((1 + 0.5 + 1 / 3 + 0.5) / 4, 12);
    // by |margin| 4, 2.5, 1.5, 0: right, wrong, right, tie
    expect(report.coverage?.byMargin.area).toBeCloseTo((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4, 12);
    expect(report.coverage?.bestArea).toBeCloseTo((1 + 1 + 2 / 3 + 1 / 2) / 4, 12);
  });
  test('one member has no variance to abstain by', () => {
    const alone = benchmarkReport([{ ...pair([2], [1]) }], [{ mean: 0, scale: 1 }]);
    expect([alone.coverage, alone.items[0]?.variance]).toEqual([null, null]);
    expect(alone.members[0]?.accuracy).toBe(1);
  });
  test('a score that is not finite is refused, and so is nothing at all', () => {
    expect(() => benchmarkReport([pair([NaN, 1], [0, 0])], [{ mean: 0, scale: 1 }])).toThrow('not finite');
    expect(() => benchmarkReport([], [{ mean: 0, scale: 1 }])).toThrow('no item');
  });
});

describe('a coverage curve', () => {
  test('of doubt that is the same everywhere is flat', () => {
    const { points, area } = coverageCurve([true, true, false, true], [0, 0, 0, 0]);
    expect(points.map(({ accuracy }) => accuracy)).toEqual([0.75, 0.75, 0.75, 0.75]);
    expect(area).toBe(0.75);
  });
  test('has twenty points however many items', () => {
    const isRight = Array.from({ length: 1000 }, (_, i) => i < 500);
    const { points } = coverageCurve(
      isRight,
      isRight.map((_, i) => i),
    );
    expect(points).toHaveLength(20);
    expect(points.at(-1)).toEqual({ coverage: 1, items: 1000, accuracy: 0.5 });
    expect(points[9]).toEqual({ coverage: 0.5, items: 500, accuracy: 1 });
  });
});

test('reliability bins make up the expected calibration error', () => {
  const confidences = Array.from({ length: 500 }, (_, i) => 0.5 + ((i * 37) % 251) / 500);
  confidences.fill(0.5, 0, 40);
  const isRight = confidences.map((_, i) => (i * 13) % 7 < 4);
  const bins = reliability(confidences, isRight);
  expect(bins.reduce((sum, { items }) => sum + items, 0)).toBe(500);
  for (const { low, high, confidence } of bins) expect(confidence > low - 1e-9 && confidence <= high + 1e-9).toBe(true);
  const ece = bins.reduce((sum, bin) => sum + (bin.items / 500) * Math.abs(bin.confidence - bin.accuracy), 0);
  expect(ece).toBeCloseTo(expectedCalibrationError(confidences, isRight, 10, 0.5), 12);
});
