import { describe, expect, test } from '@jest/globals';
import { disagreement } from './disagreement';

const scores = [
  [0, 1, 5],
  [2, 2, 2],
  [3, -1, 0],
];

describe('disagreement', () => {
  const result = disagreement(scores, ['a', 'b', 'c'], { named: 2 });

  test('describes each text', () => {
    // mean 2, squares 4 + 1 + 9 over 2 = 7
    expect(result.texts[0]).toEqual({
      id: 'a',
      min: 0,
      max: 5,
      range: 5,
      mean: 2,
      sd: Math.sqrt(7),
      scores: [0, 1, 5],
    });
    expect(result.texts[1]).toMatchObject({ range: 0, sd: 0 });
  });
  test('names the widest texts and the quantiles of the ranges 0, 4, 5', () => {
    expect(result.widest).toEqual(['a', 'c']);
    expect(result.narrowest).toEqual(['b']);
    expect(disagreement(scores, ['a', 'b', 'c'], { named: 1 })).toMatchObject({ widest: ['a'], narrowest: ['b'] });
    expect(result.rangeQuantiles.find(({ level }) => level === 0.5)?.value).toBe(4);
    expect(result.rangeQuantiles.find(({ level }) => level === 0.25)?.value).toBe(2);
  });
  test('correlates the members by rank', () => {
    // 0 2 3 against 1 2 -1: ranks 1 2 3 and 2 3 1: 1 - 6 (1 + 1 + 4) / (3 × 8) = -.5
    expect(result.spearman[0]?.[0]).toBeCloseTo(1, 12);
    expect(result.spearman[0]?.[1]).toBeCloseTo(-0.5, 12);
    expect(result.spearman[1]?.[0]).toBeCloseTo(-0.5, 12);
    expect(disagreement([[1, 2]], ['a']).spearman).toEqual([
      [null, null],
      [null, null],
    ]);
  });
  test('refuses one member, and scores that are not whole', () => {
    expect(() => disagreement([[1]], ['a'])).toThrow('at least two members');
    expect(() => disagreement([[1, NaN]], ['a'])).toThrow('must be finite');
    expect(() => disagreement([[1, 2], [1]], ['a', 'b'])).toThrow('one for each member');
    expect(() => disagreement([], [])).toThrow('must be finite');
  });
});
