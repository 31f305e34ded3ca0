import { expect, test } from '@jest/globals';
import { fixed, interval, numberFormat, percent, pValue, signed } from './numbers';

test.each([
  [fixed(1.005), '1.00'],
  [fixed(-0.25, 1), '−0.3'],
  [fixed(null), '–'],
  [fixed(999_999.4, 0), '999999'],
  [fixed(6.869e31), '6.9e+31'],
  [signed(0.5), '+0.50'],
  [signed(-0.5), '−0.50'],
  [signed(undefined), '–'],
  [fixed(-0.004), '0.00'],
  [signed(-0.004), '+0.00'],
  [signed(-0.004, 3), '−0.004'],
  [numberFormat([0.0042, 2]).signed(-1), '−1.0000'],
  [numberFormat([30, null]).fixed(30.456), '30.46'],
  [interval([0.1, -2]), '[0.10, −2.00]'],
  [interval(null), ''],
  [pValue(0.0004), '< 0.001'],
  [pValue(0.25), '0.250'],
  [percent(0.125), '13 %'],
])('a number is shown as %s', (shown, expected) => {
  expect(shown).toBe(expected);
});
