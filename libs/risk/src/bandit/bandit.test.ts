import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkBandit, dot, klOf } from './bandit';
import { banditCases } from './cases';
import { type BanditMode, banditModes, banditPolicy } from './policies';
import { simulateBandit } from './simulate';
import { smallStepRisk, stepLowerBound } from './small-steps';

const path = join(__dirname, '../../../../../shared/goldens/golden/risk.json');
const isThere = existsSync(path);
if (!isThere) console.warn(`SKIPPED: no reference numbers at ${path}`);

const uniform = [1 / 3, 1 / 3, 1 / 3];
const round = (values: readonly number[], digits: number) => values.map((value) => Number(value.toFixed(digits)));
/** One member, so that it is the mean too. */
const policyOf = (mode: BanditMode, reference: number[], reward: number[], variances: number[], beta: number) =>
  banditPolicy(mode, reference, { reward, variances, members: [reward] })(beta);

describe('policies in closed form', () => {
  // Derived by hand for three arms, r = (1.5, .6, .3), beta = .5.
  test.each<[number[], Partial<Record<BanditMode, number[]>>]>([
    [
      [1, 0.25, 0.5],
      {
        vanilla: [0.79617, 0.13161, 0.07223],
        'inverse-variance': [0.1386, 0.83849, 0.02291],
        'variance-weighted-kl': [0.96011, 0.01713, 0.02276],
        'variance-weighted-kl-exact': [0.79544, 0.16209, 0.04246],
      },
    ],
    [
      [4, 0.04, 0.04],
      {
        'inverse-variance': [0, 1, 0],
        'variance-weighted-kl': [0.52463, 0.47537, 0],
        'variance-weighted-kl-exact': [0.19597, 0.80403, 0],
      },
    ],
  ])('variances %j', (variances, expected) => {
    for (const [mode, policy] of Object.entries(expected))
      expect(round(policyOf(mode as BanditMode, uniform, [1.5, 0.6, 0.3], variances, 0.5), 5)).toEqual(policy);
  });

  test('every mode sums to 1, also where exponents are far beyond what a float holds', () => {
    const members = [
      [900, -3, 2],
      [-900, 0.1, 1],
    ];
    for (const mode of banditModes)
      for (const beta of [1e-4, 0.1, 1e4]) {
        const estimate = { reward: members[0]!, variances: [1e-6, 3, 40], members };
        const policy = banditPolicy(mode, [0.98, 0.01, 0.01], estimate)(beta);
        expect(policy.reduce((sum, p) => sum + p)).toBeCloseTo(1, 12);
        expect(policy.every((p) => p >= 0)).toBe(true);
      }
  });

  test('the exact mode is where no step along the simplex gains anything', () => {
    const [reference, r, s2, beta] = [[0.2, 0.5, 0.3], [0.4, -0.2, 0.1], [0.3, 1.2, 2.5], 0.7] as const;
    const policy = policyOf('variance-weighted-kl-exact', [...reference], [...r], [...s2], beta);
    // Gradient of r - beta s2 ln(pi / pi0), averaged over pi.
    const slopes = policy.map((p, i) => r[i]! - beta * s2[i]! * (Math.log(p / reference[i]!) + 1));
    expect(Math.max(...slopes) - Math.min(...slopes)).toBeLessThan(1e-11);
  });

  test('modes that look at all members', () => {
    const members = [
      [0, 1],
      [2, 1],
    ];
    const at = (mode: BanditMode) =>
      banditPolicy(mode, [0.5, 0.5], { reward: members[0]!, variances: [2, 0], members })(1)[0];
    const logistic = (x: number) => 1 / (1 + Math.exp(-x));
    expect(at('uwo')).toBeCloseTo(logistic(1 - 0.3 * 2 - 1), 12);
    expect(at('wco')).toBeCloseTo(logistic(0 - 1), 12);
    expect(at('soft-min')).toBeCloseTo(logistic(-Math.log((1 + Math.exp(-2)) / 2) - 1), 12);
  });
});

describe('the risk of small steps', () => {
  const fourDigits = (means: number[], variances: number[]) => {
    const { free, plane } = smallStepRisk({ means, variances });
    return round([free.vanilla, free.aware, plane.vanilla, plane.aware], 4);
  };
  // Derived by hand, checked by Monte Carlo.
  test.each([
    { means: [0.5, 0, -0.5], variances: [0.1, 0.1, 4], plane: [0.3107, 0.1193] },
    { means: [0.3, 0.2, -0.5], variances: [0.05, 0.2, 5], plane: [0.3676, 0.3442] },
    { means: [0, 0.1, 0.5], variances: [0.05, 0.05, 4], plane: [0.4081, 0.3491] },
    { means: [0.5, 0, -0.5], variances: [0.5, 0.5, 0.5], plane: [0.1587, 0.1587] },
  ])('%j', ({ means, variances, plane }) => {
    expect(fourDigits(means, variances).slice(2)).toEqual(plane);
  });

  test('four arms', () => {
    expect(fourDigits([1, 0.5, -0.3, 0.2], [4, 0.25, 1, 0.04])).toEqual([0.2492, 0.063, 0.2705, 0.1943]);
  });

  test('arms of one value are a coin toss', () => {
    expect(smallStepRisk({ means: [2, 2, 2], variances: [1, 2, 3] }).plane).toEqual({ vanilla: 0.5, aware: 0.5 });
  });
});

(isThere ? describe : describe.skip)('as the reference computes', () => {
  const golden = isThere ? JSON.parse(readFileSync(path, 'utf8')) : { bandits: [], risk: [] };
  const expectClose = (got: readonly number[], expected: readonly number[]) =>
    got.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-9));

  test('policies, their KL and value', () => {
    expect(golden.bandits.length).toBeGreaterThan(0);
    for (const { pi0, reward, variance, beta, uwo_lambda: uwoLambda, policies } of golden.bandits)
      for (const [mode, { pi, kl, value }] of Object.entries<{ pi: { data: number[] }; kl: number; value: number }>(
        policies,
      )) {
        const estimate = { reward: reward.data, variances: variance.data, members: [reward.data] };
        const options = { uwoLambda, softMinTemperature: 1 };
        // Probabilities of the reference policy are given to six digits.
        const total = pi0.data.reduce((sum: number, p: number) => sum + p, 0);
        const reference = pi0.data.map((p: number) => p / total);
        const policy = banditPolicy(mode as BanditMode, reference, estimate, options)(beta);
        for (const [got, expected] of [
          [policy, pi.data],
          [
            [klOf(policy, reference), dot(policy, reward.data)],
            [kl, value],
          ],
        ] as const)
          got.forEach((each, i) => expect(Math.abs(each - expected[i]!)).toBeLessThan(2e-6));
      }
  });

  test('risk of small steps, and what one step is worth at least', () => {
    expect(golden.risk.length).toBeGreaterThan(0);
    for (const row of golden.risk) {
      const [means, variances] = [row.true_reward.data, row.variance.data];
      const { free, plane } = smallStepRisk({ means, variances });
      expectClose(
        [free.vanilla, free.aware, plane.vanilla, plane.aware],
        [row.free_vanilla, row.free_aware, row.plane_vanilla, row.plane_aware],
      );
      expectClose([stepLowerBound(row.step.data, means, variances, row.delta)], [row.step_lower_bound]);
    }
  });
});

describe('simulated at a matched KL of .2', () => {
  const kl = 0.2;

  // P(worse), sd and mean of the gain: another program's Monte Carlo, good to .005; ours to .004 (standard error).
  test.each([
    ['favourable', [0.245, 0.19, 0.111], [0.096, 0.087, 0.125], [0, 0.01, 0.25]],
    ['rare', [0.26, 0.169, 0.001], [0.24, 0.049, 0.037], [0.06, 0.045, 0.081]],
    ['unfavourable', [0.347, 0.143, 0.077], [0.311, 0.056, 0.029], [1, 0.02, -0.104]],
  ])('%s', (name, ...expected) => {
    const { bandit } = banditCases.find((each) => each.name === name)!;
    const modes = ['vanilla', 'variance-weighted-kl', 'variance-weighted-kl-exact'] as const;
    const found = simulateBandit(bandit, { kl, modes, draws: 10_000 });
    found.forEach(({ mode, kl: matched, worse, gain }, m) => {
      expect(mode).toBe(modes[m]);
      expect(Math.abs(matched - kl)).toBeLessThan(1e-5);
      [worse.p, gain.sd, gain.mean].forEach((value, i) =>
        expect(Math.abs(value - expected[m]![i]!)).toBeLessThan(0.013),
      );
    });
  });

  test('equal variances: all modes that trust one member are one, and as likely worse as the closed form says', () => {
    const { bandit } = banditCases.find(({ name }) => name === 'equal')!;
    const modes = ['vanilla', 'variance-weighted-kl', 'variance-weighted-kl-exact', 'inverse-variance'] as const;
    const found = simulateBandit(bandit, { kl, modes, draws: 4000 });
    for (const { worse } of found) {
      expect(worse.p).toBeCloseTo(found[0]!.worse.p, 2);
      expect(Math.abs(worse.p - smallStepRisk(bandit).plane.vanilla)).toBeLessThan(4 * worse.standardError);
    }
  });

  test('a mode that keeps away at any beta is left out', () => {
    const bandit = { reference: uniform, means: [0, 0, 0], variances: [0.05, 0.05, 2] };
    const modes = ['vanilla', 'variance-weighted-kl-exact'] as const;
    expect(simulateBandit(bandit, { kl: 0.05, modes, draws: 500 }).map(({ mode }) => mode)).toEqual(['vanilla']);
  });

  test('arms of equal value: nothing is lost by any choice, whatever the rounding', () => {
    const bandit = { reference: uniform, means: [1, 1, 1], variances: [0.01, 0.04, 0.09] };
    const modes = ['vanilla', 'variance-weighted-kl', 'wco'] as const;
    const found = simulateBandit(bandit, { kl, modes, draws: 500 });
    // None of 500: at most 1 - .025^(1/500) with 97.5 % confidence.
    for (const { worse } of found) expect(worse).toMatchObject({ p: 0, ci95: [0, expect.closeTo(0.00735, 5)] });
    expect(found).toHaveLength(3);
  });

  test('units do not matter: values and errors a thousandth as large give the same, at a thousandth of beta', () => {
    const { means, variances, reference } = banditCases[0]!.bandit;
    const small = { reference, means: means.map((m) => m / 1000), variances: variances.map((v) => v / 1e6) };
    const modes = ['vanilla', 'inverse-variance', 'wco', 'variance-weighted-kl'] as const;
    const options = { kl, modes, draws: 200 };
    const [of, alike] = [simulateBandit(banditCases[0]!.bandit, options), simulateBandit(small, options)];
    expect(alike.map(({ mode, worse }) => [mode, worse.p])).toEqual(of.map(({ mode, worse }) => [mode, worse.p]));
  });

  test('more draws than memory holds are refused', () => {
    expect(() => simulateBandit(banditCases[0]!.bandit, { kl, draws: 1e6, members: 100 })).toThrow('too many to hold');
  });

  test('the same seed gives the same numbers', () => {
    const run = (seed: number) => simulateBandit(banditCases[0]!.bandit, { kl: 0.1, draws: 200, modes: ['wco'], seed });
    expect(run(3)).toEqual(run(3));
    expect(run(4)).not.toEqual(run(3));
  });
});

test('arms that do not fit together are refused, all problems at once', () => {
  const check = () => checkBandit({ reference: [0.5, 0.6], means: [1, NaN, 0], variances: [1, 0, 1] });
  for (const part of ['3 means, but 2 reference', 'finite', 'above 0', 'sum to 1.1']) expect(check).toThrow(part);
});
