import { expect, test } from '@jest/globals';
import { skippedPairs } from './skipped-pairs';

const places = Array.from({ length: 100 }, (_, i) => ({ file: i < 60 ? 'a.jsonl' : 'b.jsonl', line: (i % 60) + 1 }));
const skip = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ index: 62 - i, reason: 'the response has 281 tokens' }));

test('pairs that a fit passes over are counted and the first is named by file and line; many of them are a warning', () => {
  expect(skippedPairs({ pairs: skip(10), evalPairs: [] }, { pairs: places, evalPairs: [] })).toEqual([
    '10 of 100 pairs (10 %) were passed over; the first, b.jsonl line 3: the response has 281 tokens',
  ]);
  expect(skippedPairs({ pairs: [], evalPairs: skip(44) }, { pairs: places, evalPairs: places })).toEqual([
    'WARNING: 44 of 100 held-out pairs (44 %) were passed over: the results are of the others alone; the first, b.jsonl line 3: the response has 281 tokens',
  ]);
  expect(skippedPairs({ pairs: [], evalPairs: [] }, { pairs: places, evalPairs: [] })).toEqual([]);
});
