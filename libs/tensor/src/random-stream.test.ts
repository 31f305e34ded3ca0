import { describe, expect, test } from '@jest/globals';
import { maskedMean, maskedVariance, randomStream } from './index';

const draws = (count: number, draw: () => number) => Array.from({ length: count }, draw);
const moments = (x: number[]) => {
  const all = new Uint8Array(x.length).fill(1);
  return { mean: maskedMean(x, all), variance: maskedVariance(x, all) };
};
const correlation = (x: number[], y: number[]) => {
  const [mx, my] = [moments(x), moments(y)];
  const products = x.map((value, i) => (value - mx.mean) * ((y[i] as number) - my.mean));
  return moments(products).mean / Math.sqrt(mx.variance * my.variance);
};

describe('randomStream', () => {
  test('seed and purpose decide the numbers, on every machine', () => {
    const { uniform, normal, integer } = randomStream(17, 'sampling', 3);
    expect([uniform(), normal(), integer(1000)]).toEqual([0.9346112172606027, 0.6824171211098193, 683]);
    expect(randomStream(17n, 'sampling', 3).uniform()).toBe(randomStream(17, 'sampling', 3).uniform());
  });

  test('every other seed or purpose gives other numbers', () => {
    const first = [
      ...[randomStream(1), randomStream(2), randomStream(-1), randomStream(2n ** 70n), randomStream(1, 'a')],
      ...[randomStream(1, 'b'), randomStream(1, 'a', 1), randomStream(1, 'a', '1'), randomStream(1, 'a1')],
      ...[randomStream(1, 'a', 'b'), randomStream(1, 'a","b')],
    ].map((stream) => stream.uniform());
    expect(new Set(first).size).toBe(first.length);
  });

  test('uniform is in [0, 1) with mean 1/2, variance 1/12 and even tenths', () => {
    const n = 100_000;
    const x = draws(n, randomStream(1, 'uniform').uniform);
    expect(x.every((value) => value >= 0 && value < 1)).toBe(true);
    const { mean, variance } = moments(x);
    // Five standard errors: sqrt(1/12/n) of the mean, sqrt(1/180/n) of the variance.
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
    const tenths = new Float64Array(10);
    for (const value of x) tenths[Math.floor(10 * value)] = (tenths[Math.floor(10 * value)] as number) + 1;
    // Chi-squared with 9 degrees of freedom exceeds 33.7 once in 10,000.
    expect(tenths.reduce((sum, count) => sum + (count - n / 10) ** 2 / (n / 10), 0)).toBeLessThan(33.7);
  });

  test('normal has mean 0, variance 1, third moment 0 and fourth 3', () => {
    const n = 100_000;
    const x = draws(n, randomStream(1, 'normal').normal);
    const power = (p: number) => moments(x.map((value) => value ** p)).mean;
    // Five standard errors; the variances of x, x^2, x^3, x^4 are 1, 2, 15, 96.
    [
      [0, 1],
      [1, 2],
      [0, 15],
      [3, 96],
    ].forEach(([expected, variance], i) =>
      expect(Math.abs(power(i + 1) - (expected as number))).toBeLessThan(5 * Math.sqrt((variance as number) / n)),
    );
  });

  test('streams of neighbouring purposes and seeds are uncorrelated, as is one with itself later', () => {
    const n = 20_000;
    const x = draws(n + 1, randomStream(1, 'row', 0).uniform);
    const others = [randomStream(1, 'row', 1), randomStream(2, 'row', 0)].map((stream) => draws(n, stream.uniform));
    for (const y of [...others, x.slice(1)])
      expect(Math.abs(correlation(x.slice(0, n), y))).toBeLessThan(5 / Math.sqrt(n));
  });

  test('integer covers 0..below-1 evenly, up to 2^32', () => {
    const { integer } = randomStream(1, 'integer');
    const counts = new Float64Array(7);
    for (const value of draws(70_000, () => integer(7))) counts[value] = (counts[value] as number) + 1;
    // Chi-squared with 6 degrees of freedom exceeds 27.9 once in 10,000.
    expect(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(27.9);
    expect(draws(50, () => integer(1))).toEqual(new Array(50).fill(0));
    expect(Math.max(...draws(1000, () => integer(2 ** 32)))).toBeGreaterThan(2 ** 31);
  });

  test('shuffle permutes in place, each order as likely', () => {
    const { shuffle } = randomStream(1, 'shuffle');
    const counts = new Map<string, number>();
    for (let i = 0; i < 12_000; i++) {
      const items = [1, 2, 3];
      expect(shuffle(items)).toBe(items);
      counts.set(items.join(''), (counts.get(items.join('')) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Chi-squared with 5 degrees of freedom exceeds 25.7 once in 10,000.
    expect([...counts.values()].reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(25.7);
  });

  test.each([1.5, NaN, Infinity, 2 ** 60])('seed %p is refused', (seed) => {
    expect(() => randomStream(seed)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }));
  });

  test.each([0, -1, 1.5, NaN, 2 ** 32 + 1])('integer below %p is refused', (below) => {
    expect(() => randomStream(1).integer(below)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }));
  });
});

test('many normal numbers at once are those drawn one by one, and the stream goes on alike', () => {
  for (const sizes of [[5], [4], [1, 2, 3], [0, 7, 1]]) {
    const [one, many] = [randomStream(3, 'x'), randomStream(3, 'x')];
    for (const size of sizes) {
      const values = new Float32Array(size);
      many.normals(values, 0.02);
      expect(values).toEqual(new Float32Array(size).map(() => 0.02 * one.normal()));
    }
    expect(many.normal()).toBe(one.normal());
  }
});
