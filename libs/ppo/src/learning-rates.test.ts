import { expect, test } from '@jest/globals';
import '@surefoot/tensor/testing';
import { learningRates } from './learning-rates';
import { ppoDefaults } from './ppo-config';

const config = { ...ppoDefaults, iterations: 4, learningRate: 0.8, valueLearningRate: 0.04 };
const course = (learningRateSchedule: 'constant' | 'linear') =>
  [1, 2, 3, 4].map((iteration) => learningRates({ ...config, learningRateSchedule }, iteration));

test('constant rates are those of the configuration, to the bit', () => {
  expect(course('constant')).toEqual(Array(4).fill({ policy: 0.8, value: 0.04 }));
});

test('linear rates are whole in the first iteration and would be 0 after the last', () => {
  // shares 1, 3/4, 2/4, 1/4
  expect(course('linear').map(({ policy }) => policy)).toBeAllclose([0.8, 0.6, 0.4, 0.2]);
  expect(course('linear').map(({ value }) => value)).toBeAllclose([0.04, 0.03, 0.02, 0.01]);
  expect(learningRates({ ...config, learningRateSchedule: 'linear', iterations: 1 }, 1).policy).toBe(0.8);
});
