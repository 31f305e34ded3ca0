import { expect, test } from '@jest/globals';
import { fixed, interval, percent, pValue, signed } from './numbers';

test.each([
  [fixed(1.005), '1.00'],
  [fixed(-0.25, 1), '−0.3'],
  [fixed(null), '–'],
  [fixed(999_999.4, 0), '999999'],
  [fixed(6.869e31), '6.9e+31'],
  [signed(0.5), '+0.50'],
  [signed(-0.5), '−0.50'],
  [signed(undefined), '–'],
  [interval([0.1, -2]), '[0.10, −2.00]'],
  [interval(null), ''],
  [pValue(0.0004), '< 0.001'],
  [pValue(0.25), '0.250'],
  [percent(0.125), '13 %'],
])('a number is shown as %s', (shown, expected) => {
  expect(shown).toBe(expected);
});
