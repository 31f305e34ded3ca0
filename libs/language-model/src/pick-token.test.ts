import { describe, expect, test } from '@jest/globals';
import { randomStream } from '@surefoot/tensor';
import { pickToken } from './pick-token';

// Probabilities .1, .4, .3, .2.
const logits = Float32Array.from([0.1, 0.4, 0.3, 0.2], Math.log);
const at = (draw: number) => () => draw;

describe('pickToken', () => {
  test.each([
    [0, 0],
    [0.09, 0],
    [0.11, 1],
    [0.49, 1],
    [0.51, 2],
    [0.81, 3],
    [1 - 2 ** -53, 3],
  ])('a draw of %f falls to token %i', (draw, id) => {
    expect(pickToken(logits, {}, at(draw))).toBe(id);
  });

  test('the two most likely tokens share all draws as 4 to 3', () => {
    // .4 / .7 = .5714
    expect(pickToken(logits, { topK: 2 }, at(0.571))).toBe(1);
    expect(pickToken(logits, { topK: 2 }, at(0.572))).toBe(2);
    expect(pickToken(logits, { topK: 2 }, at(0.999))).toBe(2);
  });

  test('topP keeps the fewest tokens that reach it', () => {
    expect(pickToken(logits, { topP: 0.39 }, at(0.99))).toBe(1);
    expect(pickToken(logits, { topP: 0.69 }, at(0.99))).toBe(2);
    expect(pickToken(logits, { topP: 0.71 }, at(0.99))).toBe(3);
  });

  test.each([
    { topK: 1 },
    { topK: 50 },
    { topK: 999 },
    { topP: 0.3 },
    { topP: 0.97 },
    { topP: 0.9999 },
    { topK: 100, topP: 0.8 },
  ])('of a thousand tokens, many alike, %j keeps what sorting all of them keeps', ({ topK = 1000, topP = 1 }) => {
    const random = randomStream(4);
    const scores = Float32Array.from({ length: 1000 }, () => Math.round(8 * random.normal()) / 4);
    const weights = [...scores].map((score) => Math.exp(score - Math.max(...scores)));
    const sorted = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]! || a - b).slice(0, topK);
    const total = sorted.reduce((sum, id) => sum + weights[id]!, 0);
    let sum = 0;
    const kept = sorted.slice(0, 1 + sorted.findIndex((id) => (sum += weights[id]!) >= topP * total - 1e-12));
    const share = kept.reduce((all, id) => all + weights[id]!, 0);
    let before = 0;
    for (const id of kept) {
      // In the middle of each token's share of the draws.
      expect(pickToken(scores, { topK, topP }, at((before + weights[id]! / 2) / share))).toBe(id);
      before += weights[id]!;
    }
    expect(pickToken(scores, { topK, topP }, at(1 - 1e-15))).toBe(kept.at(-1));
  });

  test('temperature 1/2 squares the probabilities', () => {
    // Squares .01 .16 .09 .04, sum .3: token 0 takes 1/30, token 1 up to 17/30.
    expect(pickToken(logits, { temperature: 0.5 }, at(0.033))).toBe(0);
    expect(pickToken(logits, { temperature: 0.5 }, at(0.034))).toBe(1);
    expect(pickToken(logits, { temperature: 0.5 }, at(0.566))).toBe(1);
    expect(pickToken(logits, { temperature: 0.5 }, at(0.567))).toBe(2);
  });

  test('greedy takes the first of equals and no draw', () => {
    const noDraw = () => {
      throw new Error('drew');
    };
    expect(pickToken(Float32Array.of(1, 3, 3), { greedy: true }, noDraw)).toBe(1);
  });

  test('a token of probability 0 is never drawn', () => {
    const rare = Float32Array.of(-2000, 0, -2000);
    const { uniform } = randomStream(0);
    for (const draw of [0, 1 - 2 ** -53, ...Array.from({ length: 50 }, uniform)])
      expect(pickToken(rare, {}, at(draw))).toBe(1);
  });

  test.each([NaN, Infinity, -Infinity])('a logit of %f stops sampling', (logit) => {
    expect(() => pickToken(Float32Array.of(0, logit), {}, at(0))).toThrow(
      expect.objectContaining({ kind: 'diverged' }),
    );
  });
});
