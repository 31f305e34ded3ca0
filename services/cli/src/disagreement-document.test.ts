import { describe, expect, test } from '@jest/globals';
import { disagreementDocument, pairResponses } from './disagreement-document';

const pair = (prompt: string, chosen: string, rejected: string) => ({
  ...{ prompt, chosen, rejected, margin: 0 },
  ...{ chosenTruncated: false, rejectedTruncated: true },
});
const texts = (ranges: number[]) =>
  ranges.map((range, i) => ({ id: i, prompt: 'a', response: `b${i}`, scores: [0, range] }));

describe('disagreementDocument', () => {
  test('ids as they were given, words of the widest and the narrowest alone', () => {
    const found = disagreementDocument({ name: 'mine', texts: texts(Array.from({ length: 25 }, (_, i) => i)) });
    expect(found).toMatchObject({ name: 'mine', members: 2, widest: [24, 23, 22, 21, 20, 19, 18, 17, 16, 15] });
    expect(found.narrowest).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(found.texts[24]).toMatchObject({ id: 24, range: 24, prompt: 'a', response: 'b24' });
    expect(found.texts.filter(({ response }) => response === undefined).map(({ id }) => id)).toEqual([
      10, 11, 12, 13, 14,
    ]);
    expect(Object.keys(found)).not.toContain('against');
  });
  test('ids may come twice, and a conversation is shown by its roles', () => {
    const [one, other] = texts([1, 2]);
    const prompt = [{ role: 'user', content: 'is it' }];
    const found = disagreementDocument({
      name: 'twice',
      texts: [
        { ...one!, prompt },
        { ...other!, id: 0 },
      ],
    });
    expect(found.texts.map(({ id, range }) => [id, range])).toEqual([
      [0, 1],
      [0, 2],
    ]);
    expect(found.texts[0]?.prompt).toBe('user: is it');
  });
  test('against others, and by distance from the pairs', () => {
    const found = disagreementDocument(
      {
        name: 'mine',
        texts: [
          { id: 'x', prompt: 'p q', response: 'r', scores: [0, 3] },
          { id: 'y', prompt: 'p q', response: 's', scores: [0, 1] },
        ],
      },
      {
        against: { name: 'theirs', texts: texts([2]) },
        pairs: { name: 'the pairs', pairs: [pair('p q', 'r', 't u')] },
      },
    );
    // 3 > 2 > 1; medians 2 and 2. {p q r} is a pair's text; {p q s} shares 2 of 4 words with it.
    expect(found.against).toMatchObject({ name: 'theirs', wider: 0.5, medianRatio: 1, members: 2 });
    expect(found.texts.map(({ distance }) => distance)).toEqual([0, 0.5]);
    expect(found.distance).toMatchObject({ from: 'the pairs', spearman: -1, groups: [{ from: 0, to: 0.5, texts: 2 }] });
  });
  test('token ids have no words', () => {
    const pairs = { name: 'the pairs', pairs: [pair('p', 'q', 'r')] };
    expect(() => disagreementDocument({ name: 'ids', texts: [{ id: 7, scores: [0, 1] }] }, { pairs })).toThrow(
      'id 7 is given as token ids',
    );
  });
});

test('responses of pairs: all, or evenly through the list', () => {
  const pairs = Array.from({ length: 4 }, (_, i) => pair(`p${i}`, `c${i}`, `r${i}`));
  expect(pairResponses(pairs, 100)).toHaveLength(8);
  expect(pairResponses(pairs, 100)[1]).toEqual({
    id: 'pair 1 rejected',
    prompt: 'p0',
    response: 'r0',
    truncated: true,
  });
  expect(pairResponses(pairs, 3).map(({ response }) => response)).toEqual(['c0', 'c1', 'r2']);
});
