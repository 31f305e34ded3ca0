import { expect, test } from '@jest/globals';
import { banditModes } from '@surefoot/risk';
import { banditSection, solveBandit } from './bandit-section';
import { createDrawing } from './drawing';

const arms = { reference: [0.5, 0.5], means: [1, 0], variances: [0.09, 0.16] };
const { policies, simulated } = solveBandit(
  { name: 'two', title: 'Two arms', shows: '', bandit: arms },
  { kl: 0.1, draws: 200, modes: ['uwo'] },
);

test('policies are those of the mode and the beta that were simulated: uwo, which takes off .3 of the variance', () => {
  const [p, q] = policies[0]!.policy as [number, number];
  // ln(p / q) = (difference of mean - .3 variance) / beta
  expect(Math.log(p / q)).toBeCloseTo((1 + 0.3 * 0.07) / simulated[0]!.beta, 9);
});

test('what a fixed step is worth at least with 95 % probability, by one reward model', () => {
  const d = policies[0]!.policy[0]! - 0.5;
  expect(policies[0]!.gainAtLeast).toBeCloseTo(d - Math.sqrt(2 * Math.log(20) * 0.25) * d, 12);
});

test('the section has what every mode chooses and gains, and says how it was simulated', async () => {
  const { introduction, body } = banditSection(await createDrawing());
  expect(introduction).toContain(
    "a mean KL of 0.2 nats to the reference, over 1,000 draws of the reward models' errors.",
  );
  const charts = body.markup.split('<figure>').slice(1);
  for (const kind of ['chooses', 'gains']) {
    const own = charts.filter((chart) => chart.includes(`what each mode ${kind}<`));
    expect(own).toHaveLength(2);
    for (const chart of own) for (const mode of banditModes) expect(chart).toContain(`>${mode}`);
  }
});
