import { expect, test } from '@jest/globals';
import { selectPairs, selectResponses } from './select-for-labels';

const response = (prompt: string, ...scores: number[]) => ({ prompt, scores });

test('responses by the standard deviation over the members', () => {
  const selected = selectResponses([response('a', 1, 1), response('a', 0, 2), response('b', 3, -1)], 2);
  expect(selected).toEqual([
    { index: 2, disagreement: Math.sqrt(8) },
    { index: 1, disagreement: Math.SQRT2 },
  ]);
});

test('pairs by that of the difference, one for each prompt: what a member adds to all responses does not count', () => {
  const responses = [
    response('a', 0, 100), // the second member likes everything about this prompt
    response('a', 1, 101),
    response('a', 1, 100), // of the three, it disagrees most about this one and the first
    response('b', 0, 0),
    response('b', 2, -2), // differences 2 and -2
    response('c', 0, 9), // alone
  ];
  expect(selectPairs(responses, 10)).toEqual([
    { indices: [3, 4], disagreement: Math.sqrt(8) },
    { indices: [0, 2], disagreement: Math.SQRT1_2 },
  ]);
  expect(selectPairs(responses, 1)).toHaveLength(1);
});

test('one member, or no two responses to a prompt, are refused', () => {
  expect(() => selectResponses([response('a', 1)], 1)).toThrow('at least two members');
  expect(() => selectPairs([response('a', 1, 2), response('b', 1, 2)], 1)).toThrow('no prompt has two responses');
});
