import { mean } from './moments';

/** The best stretch of a trajectory. */
export interface Peak {
  /** Largest moving mean. */
  value: number;
  /** The iteration at which that window ends, counted from 1. */
  iteration: number;
  /** `value` less the mean of the last window, >= 0. */
  drop: number;
}

/**
 * The peak of a trajectory by its moving mean, and how far the end lies below it.
 *
 * @param trajectory a value an iteration
 * @param window iterations averaged, default 5; a shorter trajectory is one window
 * @returns undefined for an empty trajectory
 */
export function peakOf(trajectory: readonly number[], window = 5): Peak | undefined {
  if (trajectory.length === 0) return undefined;
  const width = Math.min(window, trajectory.length);
  const means = Array.from({ length: trajectory.length - width + 1 }, (_, start) =>
    mean(trajectory.slice(start, start + width)),
  );
  const value = means.reduce((best, candidate) => Math.max(best, candidate));
  return { value, iteration: means.indexOf(value) + width, drop: value - (means.at(-1) as number) };
}
