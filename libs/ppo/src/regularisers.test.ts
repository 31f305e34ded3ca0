import { describe, expect, test } from '@jest/globals';
import { resolvePpoConfig, type PpoConfig, type PpoMode } from './ppo-config';
import { regularise, scoreSource } from './regularisers';

const pay = (
  partial: Partial<PpoConfig>,
  scores = { members: [1, -2, 4], variance: 2 as number | null },
  hasEos = true,
) => regularise(scores, { hasEos, beta: 0.5, config: resolvePpoConfig(partial) });

describe('regularise', () => {
  test('each mode on members 1, -2, 4 with variance 2, beta .5', () => {
    // soft-min at t = 1: -ln((e^-1 + e^2 + e^-4) / 3) = -ln(2.591750...) = -.952333
    const expected: Record<PpoMode, [score: number, klWeight: number, reward: number]> = {
      vanilla: [1, 1, 1],
      'variance-weighted-kl': [1, 2, 1],
      'variance-weighted-kl-exact': [1, 2, 1 - 0.5 * 2],
      'inverse-variance': [1, 1, 1 / 2],
      uwo: [1, 1, 1 - 0.3 * 2],
      wco: [-2, 1, -2],
      'soft-min': [-0.952333, 1, -0.952333],
    };
    for (const [mode, [score, klWeight, reward]] of Object.entries(expected)) {
      const paid = pay({ mode: mode as PpoMode });
      expect([paid.score, paid.klWeight, paid.reward]).toEqual([score, klWeight, reward].map((x) => closeTo(x)));
    }
  });

  test('the reward is the chosen member, the mean or the median', () => {
    expect(pay({ member: 2 }).score).toBe(4);
    expect(pay({ reward: 'mean' }).score).toBe(1);
    expect(pay({ reward: 'median' }, { members: [5, 1, 2, 9], variance: 1 }).score).toBe(3.5);
  });

  test('the base score is clipped first, variance terms are added after, and the variance is never clipped by it', () => {
    const scores = { members: [8, 8], variance: 6 };
    expect(pay({ mode: 'vanilla' }, scores)).toEqual({ score: 8, klWeight: 1, reward: 2.5 });
    expect(pay({ mode: 'variance-weighted-kl-exact' }, scores)).toEqual({ score: 8, klWeight: 6, reward: 2.5 - 3 });
    expect(pay({ mode: 'uwo', rewardClip: 0 }, scores).reward).toBeCloseTo(8 - 0.3 * 6, 12);
    expect(pay({ mode: 'wco' }, { members: [-8, 8], variance: 1 }).reward).toBe(-2.5);
  });

  test('the weight is clamped, inverse variance has a floor', () => {
    const weight = (variance: number, partial = {}) =>
      pay({ mode: 'variance-weighted-kl', ...partial }, { members: [0], variance }).klWeight;
    expect([weight(0), weight(3), weight(50)]).toEqual([0.1, 3, 10]);
    expect(weight(50, { weightClampMin: 0, weightClampMax: Infinity })).toBe(50);
    const floored = { mode: 'inverse-variance', weightClampMin: 0, varianceFloor: 0.25 } as const;
    expect(pay(floored, { members: [1], variance: 0 }).reward).toBe(4);
  });

  test('a missing end of sequence is paid in place of the score and its variance terms; the KL weight stays', () => {
    const partial = { mode: 'variance-weighted-kl-exact', missingEosPenalty: -3 } as const;
    expect(pay(partial, undefined, false)).toMatchObject({ klWeight: 2, reward: -3 });
    expect(pay(partial, undefined, true).reward).toBe(0);
    expect(pay({ mode: 'vanilla' }, undefined, false).reward).toBe(1);
  });

  test.each(['variance-weighted-kl', 'variance-weighted-kl-exact', 'inverse-variance', 'uwo'] as const)(
    '%s refuses a single member',
    (mode) => {
      expect(() => pay({ mode }, { members: [1], variance: null })).toThrow('one member has no variance');
      expect(() => pay({ mode }, { members: [1], variance: null })).toThrow(
        expect.objectContaining({ kind: 'failed_precondition' }),
      );
    },
  );

  test('modes without a variance term are that member where there is one', () => {
    for (const mode of ['vanilla', 'wco', 'soft-min'] as const)
      expect(pay({ mode }, { members: [1.25], variance: null })).toEqual({ score: 1.25, klWeight: 1, reward: 1.25 });
  });

  test.each([
    ['vanilla', 'member', 'member'],
    ['variance-weighted-kl', 'mean', 'mean'],
    ['inverse-variance', 'median', 'median'],
    ['uwo', 'member', 'mean'],
    ['wco', 'mean', 'minimum'],
    ['soft-min', 'member', 'soft-minimum'],
  ] as const)('%s with reward %s is paid by the %s', (mode, reward, source) => {
    expect(scoreSource({ mode, reward })).toBe(source);
  });

  test('soft-min neither overflows nor leaves [minimum, mean]', () => {
    const members = [-3000, 0, 900];
    expect(
      pay({ mode: 'soft-min', rewardClip: 0, softMinTemperature: 1 }, { members, variance: null }).score,
    ).toBeCloseTo(-3000 + Math.log(3), 9);
    const warm = pay({ mode: 'soft-min', softMinTemperature: 1e7 }, { members: [1, -2, 4], variance: null });
    expect(warm.score).toBeCloseTo(1, 5);
  });

  test('refuses scores that are not finite and a member that does not exist', () => {
    expect(() => pay({}, { members: [0, NaN], variance: 1 })).toThrow('member 1 gave the score NaN');
    expect(() => pay({}, { members: [0], variance: Infinity })).toThrow('variance is Infinity');
    expect(() => pay({}, { members: [0], variance: -1 })).toThrow('variance is -1');
    expect(() => pay({ member: 3 })).toThrow('member 3 is to be the reward, but there are 3');
  });
});

function closeTo(x: number) {
  return expect.closeTo(x, 6) as unknown as number;
}
