import { describe, expect, test } from '@jest/globals';
import { disagreement } from './disagreement';
import { rangesAgainst } from './disagreement-against';
import { nearestDistances, rangeByDistance } from './disagreement-distance';

describe('nearestDistances', () => {
  const reference = ['How is the soup? The soup is fine.', 'How is the bread? Stale.'];
  test.each([
    // {how is the soup fine} is the set of the first.
    ['the SOUP is fine, how!', 0],
    // {how is the chair}: 3 common with either; of the first 3 / (4 + 5 - 3), of the second 3 / (4 + 5 - 3).
    ['how is the chair', 1 - 3 / 6],
    // {how is the bread fine}: 4 of 6 with both.
    ['how is the bread fine', 1 - 4 / 6],
    // {stale}: 1 of 5.
    ['stale stale', 1 - 1 / 5],
    ['nothing common', 1],
    ['…', 1],
  ])('%s is %d away', (text, distance) => {
    expect(nearestDistances([text], reference)[0]).toBeCloseTo(distance, 12);
  });
  test('words of other scripts count: accents, digits, and each ideograph', () => {
    expect(nearestDistances(['汤很好'], ['汤不好'])[0]).toBeCloseTo(1 - 2 / 4, 12);
    expect(nearestDistances(['Émile 3'], ['émile, 4'])[0]).toBeCloseTo(1 - 1 / 3, 12);
  });
  test('agrees with comparing every pair of sets', () => {
    const text = (i: number) => Array.from({ length: 5 }, (_, j) => `w${(i * 7 + j * j * 3 + i * j) % 23}`).join(' ');
    const [own, others] = [
      Array.from({ length: 30 }, (_, i) => text(i)),
      Array.from({ length: 20 }, (_, i) => text(i * 5 + 2)),
    ];
    const jaccard = (a: string, b: string) => {
      const [x, y] = [new Set(a.split(' ')), new Set(b.split(' '))];
      const common = [...x].filter((word) => y.has(word)).length;
      return common / (x.size + y.size - common);
    };
    const slow = own.map((a) => 1 - Math.max(...others.map((b) => jaccard(a, b))));
    nearestDistances(own, others).forEach((distance, i) => expect(distance).toBeCloseTo(slow[i]!, 12));
  });
  test('needs something to be far from', () => {
    expect(() => nearestDistances(['a'], [])).toThrow('no text to measure distances from');
  });
});

describe('rangeByDistance', () => {
  test('groups of equal size, medians and quartiles within, rank correlation over all', () => {
    // 20 texts: distances 0 .. 19, ranges twice that: medians of 0 2 .. 18 and 20 .. 38.
    const distances = Array.from({ length: 20 }, (_, i) => i);
    expect(
      rangeByDistance(
        distances.map((d) => 2 * d),
        distances,
      ),
    ).toEqual({
      spearman: 1,
      groups: [
        { from: 0, to: 9, texts: 10, median: 9, quartiles: [4.5, 13.5] },
        { from: 10, to: 19, texts: 10, median: 29, quartiles: [24.5, 33.5] },
      ],
    });
  });
  test('texts of one distance stay together', () => {
    const distances = [...new Array<number>(15).fill(0), 1, 1, 1, 1, 1];
    const { groups } = rangeByDistance(distances, distances);
    expect(groups.map(({ texts }) => texts)).toEqual([15, 5]);
    expect(rangeByDistance([1, 2], [0, 0])).toMatchObject({ spearman: null, groups: [{ texts: 2, median: 1.5 }] });
  });
});

test('rangesAgainst: how often a range is the wider one, and the ratio of the medians', () => {
  const ranges = (values: number[]) =>
    disagreement(
      values.map((range) => [0, range]),
      values.map(String),
    );
  // 1 against 2 and 3: 0; 3: 1 + ½; 4: 2. Of six pairs 3.5; medians 3 and 2.5.
  expect(rangesAgainst(ranges([1, 3, 4]), ranges([2, 3]))).toEqual({ wider: 3.5 / 6, medianRatio: 3 / 2.5 });
  expect(rangesAgainst(ranges([1]), ranges([0]))).toEqual({ wider: 1, medianRatio: null });
});
