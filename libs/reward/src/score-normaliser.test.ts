import { describe, expect, test } from '@jest/globals';
import { randomStream } from '@surefoot/tensor';
import { ensembleStatistics } from './ensemble-statistics';
import { fitScoreNormaliser, normaliseScores } from './score-normaliser';

/** 16 samples of each of two prompts; members on scales of their own, prompt b far above prompt a. */
function reference() {
  const random = randomStream(1, 'test');
  const promptKeys = Array.from({ length: 32 }, (_, i) => (i < 16 ? 'a' : 'b'));
  const scores = promptKeys.map((key) => [0, 1, 2].map((k) => (key === 'b' ? 100 : 0) + (k + 1) * random.normal()));
  return { scores, promptKeys };
}

describe('fitScoreNormaliser', () => {
  const { scores, promptKeys } = reference();
  const normaliser = fitScoreNormaliser({ scores, promptKeys });
  const normalised = scores.map((row, i) => normaliseScores(normaliser, row, promptKeys[i] as string));

  test('centres each member per prompt and scales it to unit standard deviation', () => {
    expect(normaliser.centring).toBe('prompt');
    for (const k of [0, 1, 2]) {
      const own = normalised.map(({ members }) => members[k] as number);
      for (const prompt of ['a', 'b']) {
        const sum = own.reduce((total, score, i) => total + (promptKeys[i] === prompt ? score : 0), 0);
        expect(sum).toBeCloseTo(0, 9);
      }
      expect(own.reduce((total, score) => total + score * score, 0) / own.length).toBeCloseTo(1, 9);
    }
  });

  test('divides the variance by its mean, so that it averages to 1', () => {
    const mean = normalised.reduce((sum, { variance }) => sum + (variance as number), 0) / normalised.length;
    expect(mean).toBeCloseTo(1, 9);
    const [first] = normalised;
    const raw = ensembleStatistics(first?.members as Float64Array).variance as number;
    expect(first?.variance).toBeCloseTo(raw / (normaliser.meanVariance as number), 12);
  });

  test('is plain JSON', () => {
    const copy = JSON.parse(JSON.stringify(normaliser)) as typeof normaliser;
    expect(normaliseScores(copy, scores[3] as number[], 'a')).toEqual(normalised[3]);
  });

  test('centres over all prompts where one has fewer than eight samples', () => {
    const few = fitScoreNormaliser({ scores, promptKeys: promptKeys.map((key, i) => (i === 0 ? 'c' : key)) });
    expect(few.centring).toBe('all');
    expect(normaliseScores(few, [1, 2, 3], 'never seen').members).toHaveLength(3);
  });

  test('knows no variance of one member', () => {
    const one = fitScoreNormaliser({ scores: scores.map(([score]) => [score as number]), promptKeys });
    expect(one.meanVariance).toBeNull();
    expect(normaliseScores(one, [1], 'a').variance).toBeNull();
  });

  test('refuses members that say nothing, alike members, unknown prompts and another number of members', () => {
    const constant = scores.map(([a]) => [a as number, 1]);
    expect(() => fitScoreNormaliser({ scores: constant, promptKeys })).toThrow('reward member 1 gives the same score');
    const twins = scores.map(([a]) => [a as number, a as number]);
    expect(() => fitScoreNormaliser({ scores: twins, promptKeys })).toThrow('no uncertainty to use');
    expect(() => fitScoreNormaliser({ scores: [], promptKeys: [] })).toThrow('must be finite');
    expect(() => fitScoreNormaliser({ scores: [[NaN]], promptKeys: ['a'] })).toThrow('must be finite');
    expect(() => normaliseScores(normaliser, [1, 2, 3], 'c')).toThrow('no reference samples');
    expect(() => normaliseScores(normaliser, [1, 2], 'a')).toThrow('3 members');
  });
});
