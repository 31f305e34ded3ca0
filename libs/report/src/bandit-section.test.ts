import { expect, test } from '@jest/globals';
import { solveBandit } from './bandit-section';

const arms = { reference: [0.5, 0.5], means: [1, 0], variances: [0.09, 0.16] };
const solve = (lambda: number) =>
  solveBandit(
    { name: 'two', title: 'Two arms', shows: '', bandit: arms },
    { kl: 0.1, draws: 200, modes: ['uwo'], lambda },
  );

test.each([0, 2])('policies are those of the options that were simulated: uwo with lambda %d', (lambda) => {
  const { policies, simulated } = solve(lambda);
  const [p, q] = policies[0]!.policy as [number, number];
  // ln(p / q) = (difference of mean - lambda variance) / beta
  expect(Math.log(p / q)).toBeCloseTo((1 + lambda * 0.07) / simulated[0]!.beta, 9);
});

test('what a fixed step is worth at least with 95 % probability, by one reward model', () => {
  const { policies } = solve(0);
  const d = policies[0]!.policy[0]! - 0.5;
  expect(policies[0]!.gainAtLeast).toBeCloseTo(d - Math.sqrt(2 * Math.log(20) * 0.25) * d, 12);
});
