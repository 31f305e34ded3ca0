import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import { resolvePpoConfig, type PpoConfig, type PpoMode } from './ppo-config';
import { regularise } from './regularisers';
import { tokenRewards } from './token-rewards';

/**
 * The policy at which policy-gradient ascent on the one-token rewards rests: softmax parameters follow the natural gradient
 * `R(a) - E R`, with the rewards held constant at each step as PPO holds them.
 */
function fixedPoint(
  bandit: { pi0: number[]; reward: number[]; variance: number[] },
  { beta, ...partial }: Partial<PpoConfig> & { mode: PpoMode; beta: number },
): Float64Array {
  const { pi0, reward, variance } = bandit;
  const config = resolvePpoConfig({
    rewardClip: 0,
    weightClampMin: 0,
    weightClampMax: Infinity,
    varianceFloor: 1e-9,
    ...partial,
  });
  const arms = Int32Array.from({ length: pi0.length + 1 }, (_, a) => a);
  const rewards = pi0.map((_, a) =>
    regularise({ members: [reward[a]!], variance: variance[a]! }, { hasEos: true, beta, config }),
  );
  const rate = 0.5 / (beta * Math.max(1, ...variance));
  let logits = Float64Array.from(pi0, Math.log);
  for (let step = 0; step < 20_000; step++) {
    const logPi = logSoftmax(logits);
    const logRatios = logPi.map((logprob, a) => logprob - Math.log(pi0[a]!));
    const paid = tokenRewards(logRatios, arms, rewards, { beta, klPlacement: config.klPlacement });
    const expected = paid.reduce((sum, R, a) => sum + Math.exp(logPi[a]!) * R, 0);
    logits = logits.map((logit, a) => logit + rate * (paid[a]! - expected));
  }
  return logSoftmax(logits).map(Math.exp);
}

function logSoftmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const logSum = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - logSum);
}

describe('fixed points on a bandit of three arms, pi0 uniform, r = (1.5, .6, .3), beta .5', () => {
  const bandit = (variance: number[]) => ({ pi0: [1 / 3, 1 / 3, 1 / 3], reward: [1.5, 0.6, 0.3], variance });
  // Closed forms: softmax(ln pi0 + r / beta), softmax(ln pi0 + r / (beta s2)), and roots of sum pi0 exp((r - nu) / (beta s2) [- 1]) = 1.
  test.each([
    ['vanilla', [1, 0.25, 0.5], [0.79617, 0.13161, 0.07223]],
    ['inverse-variance', [1, 0.25, 0.5], [0.1386, 0.83849, 0.02291]],
    ['variance-weighted-kl', [1, 0.25, 0.5], [0.96011, 0.01713, 0.02276]],
    ['variance-weighted-kl-exact', [1, 0.25, 0.5], [0.79544, 0.16209, 0.04246]],
    ['vanilla', [4, 0.04, 0.04], [0.796168, 0.131606, 0.072227]],
    ['inverse-variance', [4, 0.04, 0.04], [0, 1, 0]],
    ['variance-weighted-kl', [4, 0.04, 0.04], [0.52463, 0.47537, 0]],
    ['variance-weighted-kl-exact', [4, 0.04, 0.04], [0.195967, 0.804032, 0]],
  ] as const)('%s, s2 = %j', (mode, variance, expected) => {
    expect(fixedPoint(bandit([...variance]), { mode, beta: 0.5 })).toBeAllclose(expected, { atol: 5e-6, rtol: 0 });
  });

  test('one token: the placement of the penalty makes no difference', () => {
    const rest = { mode: 'variance-weighted-kl', beta: 0.5 } as const;
    const terminal = fixedPoint(bandit([1, 0.25, 0.5]), { ...rest, klPlacement: 'terminal' });
    expect(terminal).toBeAllclose(fixedPoint(bandit([1, 0.25, 0.5]), rest), { atol: 1e-12, rtol: 0 });
  });

  test('constant reward: the default mode stays at the reference, the exact mode flees the uncertain arm', () => {
    const flat = { pi0: [0.5, 0.25, 0.25], reward: [1, 1, 1], variance: [1, 0.25, 4] };
    const stays = fixedPoint(flat, { mode: 'variance-weighted-kl', beta: 0.5 });
    expect(stays).toBeAllclose(flat.pi0, { atol: 1e-9, rtol: 0 });
    const flees = fixedPoint(flat, { mode: 'variance-weighted-kl-exact', beta: 0.5 });
    expect(flees[2]).toBeLessThan(0.2);
  });
});

const risk = goldenPath('golden', 'risk.json');
(risk ? describe : describe.skip)('fixed points agree with the golden closed forms', () => {
  const { bandits = [] } = risk ? JSON.parse(readFileSync(risk, 'utf8')) : {};
  for (const [index, { pi0, reward, variance, beta, uwo_lambda: uwoLambda, policies }] of bandits.entries())
    test.each(Object.keys(policies) as PpoMode[])(`bandit ${index}, %s`, (mode) => {
      const bandit = { pi0: normalised(pi0.data), reward: reward.data, variance: variance.data };
      expect(fixedPoint(bandit, { mode, beta, uwoLambda })).toBeAllclose(policies[mode].pi.data, {
        atol: 1e-8,
        rtol: 1e-6,
      });
    });
});

// Stored to six digits, so that they sum to 1 only roughly.
function normalised(weights: number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
