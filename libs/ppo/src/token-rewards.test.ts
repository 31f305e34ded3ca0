import { describe, expect, test } from '@jest/globals';
import '@surefoot/tensor/testing';
import { tokenRewards } from './token-rewards';

describe('tokenRewards', () => {
  const logRatios = [0.5, -1, 2, 4];
  const offsets = Int32Array.of(0, 3, 4);
  const rewards = [
    { score: 0, klWeight: 2, reward: 10 },
    { score: 0, klWeight: 1, reward: -1 },
  ];

  test('every token pays its own log-ratio, the last one is paid the reward', () => {
    const paid = tokenRewards(logRatios, offsets, rewards, { beta: 0.1, klPlacement: 'token' });
    // -.1 * 2 * (.5, -1, 2) + (0, 0, 10); -.1 * 4 - 1
    expect(paid).toBeAllclose([-0.1, 0.2, 9.6, -1.4], { atol: 1e-12 });
  });

  test('terminal: the last token pays them all', () => {
    const paid = tokenRewards(logRatios, offsets, rewards, { beta: 0.1, klPlacement: 'terminal' });
    // 10 - .1 * 2 * 1.5
    expect(paid).toBeAllclose([0, 0, 9.7, -1.4], { atol: 1e-12 });
  });
});
