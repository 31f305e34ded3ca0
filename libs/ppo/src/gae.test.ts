import { describe, expect, test } from '@jest/globals';
import '@surefoot/tensor/testing';
import { randomStream } from '@surefoot/tensor';
import { gae } from './gae';

describe('gae', () => {
  test('two tokens by hand, gamma .5, lambda .5', () => {
    // delta_1 = 2 - 3 = -1; delta_0 = 1 + .5 * 3 - 1 = 1.5; A_0 = 1.5 + .25 * -1 = 1.25
    const { advantages, returns } = gae([1, 2], [1, 3], Int32Array.of(0, 2), { gamma: 0.5, lambda: 0.5 });
    expect([...advantages]).toEqual([1.25, -1]);
    expect([...returns]).toEqual([2.25, 2]);
  });

  test('agrees with the double loop over the definition, and no rollout reads another', () => {
    const random = randomStream(1, 'gae');
    const lengths = [1, 7, 3, 12, 1];
    const offsets = Int32Array.from([0, ...lengths.map((_, b) => lengths.slice(0, b + 1).reduce((a, x) => a + x))]);
    const draw = () => Float64Array.from({ length: 24 }, () => random.normal());
    const [rewards, values] = [draw(), draw()];
    const [gamma, lambda] = [0.97, 0.9];
    const { advantages, returns } = gae(rewards, values, offsets, { gamma, lambda });
    for (let b = 0; b < lengths.length; b++) {
      const end = offsets[b + 1]!;
      for (let t = offsets[b]!; t < end; t++) {
        let expected = 0;
        for (let s = t; s < end; s++) {
          const nextValue = s + 1 < end ? values[s + 1]! : 0;
          expected += (gamma * lambda) ** (s - t) * (rewards[s]! + gamma * nextValue - values[s]!);
        }
        expect(advantages[t]).toBeCloseTo(expected, 12);
        expect(returns[t]).toBeCloseTo(expected + values[t]!, 12);
      }
    }
  });

  test('gamma 1, lambda 1: returns are the rewards to go, whatever the values', () => {
    const { returns } = gae([1, 2, 4], [9, -3, 5], Int32Array.of(0, 3), { gamma: 1, lambda: 1 });
    expect(returns).toBeAllclose([7, 6, 4], { atol: 1e-12 });
  });

  test('refuses arrays of different lengths', () => {
    expect(() => gae([1], [1, 2], Int32Array.of(0, 2), { gamma: 1, lambda: 1 })).toThrow(
      '1 rewards, 2 values, 2 tokens',
    );
  });
});
