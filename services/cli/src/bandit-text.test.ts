import { expect, test } from '@jest/globals';
import { ppoDefaults } from '@surefoot/ppo';
import { banditModes, banditPolicy } from '@surefoot/risk';

test.each(banditModes)('%s is that of a training whose configuration says nothing else', (mode) => {
  const members = [
    [1.5, 0.6, 0.3],
    [-0.4, 0.5, 0.1],
  ];
  const estimate = { reward: members[0]!, variances: [2, 0.1, 0.4], members };
  const reference = [0.2, 0.3, 0.5];
  expect(banditPolicy(mode, reference, estimate)(0.2)).toEqual(banditPolicy(mode, reference, estimate, ppoDefaults)(0.2)); // prettier-ignore
});
