import type { Interval } from './intervals';

/** The number, or null where it is undefined or infinite: what JSON can carry. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** The interval, or null where an end of it is undefined or infinite. */
export function finiteInterval(interval: Interval): Interval | null {
  return interval.every(Number.isFinite) ? interval : null;
}
