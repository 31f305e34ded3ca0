import { expect, test } from '@jest/globals';
import { toWireRollouts } from './scorers';

const sent = (response: string, hasEos: boolean) =>
  toWireRollouts({
    rollouts: [{ prompt: 'caf\uFFFD', response, hasEos, promptIds: [0, 2], responseIds: [5] }],
    tokenizerDigest: 'd',
    asked: { ensemble: true, judge: false },
  })[0]!;

test.each<[string, boolean, object]>([
  ['it is good', true, { response: 'it is good', truncated: false }],
  ['it is go', false, { response: 'it is go', truncated: true }],
  ['half \uFFFD and \ud83d', false, { response: 'half ? and ?', truncated: true }],
  ['', true, { response: '', truncated: false }],
  // Special tokens to the length limit: no text at all.
  ['', false, { response: '', truncated: false }],
])('%j (ended by itself: %p) goes out as text that scorers accept, its ids beside it', (response, hasEos, expected) => {
  const rollout = sent(response, hasEos);
  expect(rollout).toMatchObject({ ...expected, prompt: { $case: 'text', value: 'caf?' } });
  expect(rollout.tokenIds).toEqual({ tokenizerDigest: 'd', promptIds: [0, 2], responseIds: [5] });
});
