import { describe, expect, test } from '@jest/globals';
import { bootstrap, percentileInterval, seededIntegers } from './bootstrap';
import { fisherExact, mcnemarExact } from './contingency';
import { pearson, spearman } from './correlation';
import { normalQuantile } from './distributions';
import { correlationInterval, meanInterval, proportionInterval, standardDeviationInterval } from './intervals';
import { mean, meanOfWorstTenth, quantile, standardDeviation } from './moments';
import { peakOf } from './peak';
import { brownForsythe, pitmanMorgan, varianceRatio } from './spread';

describe('peakOf', () => {
  test('the largest mean of five iterations, where its window ends, and the drop to the last five', () => {
    // windows: (0+5+5+5+5)/5 = 4, (5+5+5+5+5)/5 = 5, (5+5+5+5+0)/5 = 4
    expect(peakOf([0, 5, 5, 5, 5, 5, 0])).toEqual({ value: 5, iteration: 6, drop: 1 });
  });
  test('a rising trajectory peaks at its end', () => {
    expect(peakOf([1, 2, 3, 4, 5, 6])).toEqual({ value: 4, iteration: 6, drop: 0 });
  });
  test('a trajectory shorter than the window is one window', () => {
    expect(peakOf([1, 3])).toEqual({ value: 2, iteration: 2, drop: 0 });
    expect(peakOf([])).toBeUndefined();
  });
});

describe('by hand', () => {
  test('worst tenth of 11 values is the mean of the two lowest', () => {
    expect(meanOfWorstTenth([5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10])).toBe(0.5);
  });
  test('McNemar: 3 against 1 of 4 is 2 (1 + 4) / 16', () => {
    expect(mcnemarExact(3, 1)).toBeCloseTo(0.625, 12);
    expect(mcnemarExact(0, 0)).toBe(1);
  });
  test('Fisher: the table [[3, 0], [0, 3]] and its mirror are 2 of 20', () => {
    expect(fisherExact([[3, 0], [0, 3]])).toBeCloseTo(0.1, 12); // prettier-ignore
  });
  test('Fisher counts the mirrored table of equal rows whatever the rounding', () => {
    const naive = (k: number) => (choose(40, k) * choose(40, 15 - k)) / choose(80, 15);
    let expected = 0;
    for (let k = 0; k <= 15; k++) if (k <= 2 || k >= 13) expected += naive(k);
    expect(fisherExact([[13, 27], [2, 38]])).toBeCloseTo(expected, 12); // prettier-ignore
  });
  test('Pitman–Morgan does not see a common shift and is 0 for a multiple', () => {
    const a = [0.1, -0.4, 0.9, 0.3, -0.2];
    const b = [0.2, 0.3, -0.1, 0, 0.4];
    const p = pitmanMorgan(a, b);
    const shifted = a.map((value) => value + 7);
    const tripled = a.map((value) => 3 * value);
    expect(pitmanMorgan(b, a)).toBeCloseTo(p, 12);
    expect(pitmanMorgan(shifted, b)).toBeCloseTo(p, 10);
    expect(pitmanMorgan(tripled, a)).toBeCloseTo(0, 10);
  });
  test('ties share their rank: (1, 1, 2) against (1, 2, 3) is 1.5 / sqrt(1.5 · 2)', () => {
    expect(spearman([1, 1, 2], [1, 2, 3])).toBeCloseTo(1.5 / Math.sqrt(3), 12);
  });
  test("Fisher's interval of r = 0 over 28 pairs is ± tanh(1.96 / 5)", () => {
    expect(correlationInterval(0, 28)[1]).toBeCloseTo(Math.tanh(normalQuantile(0.975) / 5), 12);
  });
});

describe('too few values', () => {
  test('no number is made up', () => {
    const undefinedNumbers = [
      standardDeviation([1]),
      quantile([], 0.5),
      mean([]),
      meanOfWorstTenth([]),
      ...meanInterval([1]),
      ...standardDeviationInterval([1]),
      ...proportionInterval(0, 0),
      ...correlationInterval(0.5, 3),
      pearson([1, 1], [1, 2]),
      pearson([0.1, 1.1 - 1, 2.1 - 2], [1, 2, 3]),
      pitmanMorgan([1, 2], [2, 1]),
      varianceRatio([1], [2]),
      brownForsythe([1, 1], [2, 2]).p,
      brownForsythe([0.1, 0.7], [0.3, 0.4]).p,
      ...percentileInterval([]),
    ];
    expect(undefinedNumbers).toEqual(undefinedNumbers.map(() => NaN));
  });
});

test('equal values have no variance, whatever their rounding; small differences of small values have one', () => {
  expect(varianceRatio([1, 2, 3], [0.1, 1.1 - 1, 2.1 - 2])).toBe(Infinity);
  expect(varianceRatio([1e-9, 2e-9, 3e-9], [1e-9, 3e-9, 5e-9])).toBeCloseTo(0.25, 12);
});

describe('bootstrap', () => {
  const means = (seed: number) =>
    bootstrap(3, (drawn) => mean([...drawn]), { replicates: 100, integer: seededIntegers(seed) });
  test('the same seed gives the same replicates, another seed others', () => {
    expect(means(4)).toEqual(means(4));
    expect(means(4)).not.toEqual(means(5));
    expect(means(4)).not.toEqual(means(4 + 2 ** 32));
  });
  test('undefined replicates are left out', () => {
    expect(bootstrap(1, () => NaN, { replicates: 3, integer: () => 0 })).toEqual([]);
  });
  test('integers are spread evenly: chi-square of 10 cells over 100,000 draws', () => {
    const integer = seededIntegers(11);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[integer(10)]! += 1;
    const chiSquare = counts.reduce((sum, observed) => sum + (observed - 10_000) ** 2 / 10_000, 0);
    expect(chiSquare).toBeLessThan(27.9); // the 99.9 % point of chi-square with 9 degrees of freedom
  });
});

describe('coverage', () => {
  test('Clopper–Pearson covers every probability at n = 40, summed over all 41 outcomes', () => {
    const intervals = Array.from({ length: 41 }, (_, k) => proportionInterval(k, 40));
    for (let i = 1; i < 1000; i++) {
      const p = i / 1000;
      const covered = intervals.reduce(
        (sum, [low, high], k) => (low <= p && p <= high ? sum + choose(40, k) * p ** k * (1 - p) ** (40 - k) : sum),
        0,
      );
      expect(covered).toBeGreaterThanOrEqual(0.95 - 1e-12);
    }
  });
  test('t and chi-square intervals of normal samples of 40 cover 95 % within Monte Carlo error', () => {
    const integer = seededIntegers(3);
    const uniform = () => (integer(2 ** 31) + 0.5) / 2 ** 31;
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const samples = 2000;
    let [meanCovered, sdCovered] = [0, 0];
    for (let i = 0; i < samples; i++) {
      const values = Array.from({ length: 40 }, () => 3 + 2 * normal());
      const covers = ([low, high]: [number, number], truth: number) => (low <= truth && truth <= high ? 1 : 0);
      meanCovered += covers(meanInterval(values), 3);
      sdCovered += covers(standardDeviationInterval(values), 2);
    }
    // standard error sqrt(.95 · .05 / 2000) = .0049
    expect(Math.abs(meanCovered / samples - 0.95)).toBeLessThan(3 * 0.0049);
    expect(Math.abs(sdCovered / samples - 0.95)).toBeLessThan(3 * 0.0049);
  });
  test('the bootstrap of the variance ratio of 40 pairs covers at least 90 %: it is a little too narrow', () => {
    const integer = seededIntegers(17);
    const uniform = () => (integer(2 ** 31) + 0.5) / 2 ** 31;
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const samples = 500;
    let covered = 0;
    for (let i = 0; i < samples; i++) {
      const shared = Array.from({ length: 40 }, normal);
      // Correlation .5, true ratio 2.
      const a = shared.map((z) => Math.SQRT2 * (Math.SQRT1_2 * z + Math.SQRT1_2 * normal()));
      const b = shared.map((z) => Math.SQRT1_2 * z + Math.SQRT1_2 * normal());
      const ratio = (drawn: readonly number[]) =>
        varianceRatio(
          drawn.map((j) => a[j]!),
          drawn.map((j) => b[j]!),
        );
      const [low, high] = percentileInterval(bootstrap(40, ratio, { replicates: 400, integer }));
      if (low <= 2 && 2 <= high) covered += 1;
    }
    // standard error sqrt(.92 · .08 / 500) = .012
    expect(covered / samples).toBeGreaterThan(0.9);
    expect(covered / samples).toBeLessThan(0.97);
  });
});

function choose(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= k; i++) result = (result * (n - k + i)) / i;
  return result;
}
