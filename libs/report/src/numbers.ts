import type { Interval } from '@surefoot/risk';

/** Two decimals, powers of ten from a million on, or a dash where there is no number. */
export function fixed(value: number | null | undefined, digits = 2): string {
  if (typeof value !== 'number') return '–';
  return (Math.abs(value) < 1e6 ? value.toFixed(digits) : value.toExponential(1)).replace('-', '−');
}

/** Two decimals with their sign, or a dash. */
export function signed(value: number | null | undefined): string {
  return `${typeof value === 'number' && value >= 0 ? '+' : ''}${fixed(value)}`;
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
