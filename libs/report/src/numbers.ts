import { decimalsFor, type Interval } from '@surefoot/risk';

type Value = number | null | undefined;

/** Two decimals, powers of ten from a million on, or a dash where there is no number; what rounds to 0 has no minus. */
export function fixed(value: Value, digits = 2): string {
  if (typeof value !== 'number') return '–';
  const size = Math.abs(value) < 1e6 ? Math.abs(value).toFixed(digits) : Math.abs(value).toExponential(1);
  return `${value < 0 && Number(size) > 0 ? '−' : ''}${size}`;
}

/** Two decimals with their sign, or a dash. */
export function signed(value: Value, digits = 2): string {
  const words = fixed(value, digits);
  return typeof value === 'number' && !words.startsWith('−') ? `+${words}` : words;
}

/** How the numbers of one quantity are shown: all with the same decimals, so that they can be compared. */
export interface NumberFormat {
  fixed: (value: Value) => string;
  signed: (value: Value) => string;
}

/** @param sizes as of `decimalsFor`: two digits of the smallest are shown, and at least two decimals */
export function numberFormat(sizes: readonly (number | null)[]): NumberFormat {
  const digits = decimalsFor(sizes);
  return { fixed: (value) => fixed(value, digits), signed: (value) => signed(value, digits) };
}

/** `[low, high]` in the given form, or nothing. */
export function interval(ends: Interval | null, format: (value: number) => string = fixed): string {
  return ends ? `[${format(ends[0])}, ${format(ends[1])}]` : '';
}

/** Three decimals of a p value, or a dash. */
export function pValue(p: number | null): string {
  return p !== null && p < 0.001 ? '< 0.001' : fixed(p, 3);
}

/** A share as a whole percentage. */
export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** Smallest and largest value; a spread argument list would overflow the stack with the scores of a large experiment. */
export function extent(values: readonly number[]): Interval {
  return values.reduce<Interval>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}
