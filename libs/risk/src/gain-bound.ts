import { studentQuantile } from './distributions';
import { groupBy } from './group-by';
import { mean, standardDeviation } from './moments';

/** What one response to a prompt was worth before and after. */
export interface PairedValue {
  /** Equal for responses to one prompt. */
  prompt: string;
  initial: number;
  final: number;
}

/** A mean gain with its one-sided lower confidence bound. */
export interface GainBound {
  responses: number;
  prompts: number;
  mean: number;
  /** Of the prompts' mean gains; 0 where they differ by rounding alone, NaN for a single prompt. */
  sd: number;
  /** NaN for a single prompt. */
  lower: number;
}

/** Of the largest value: a mean of thousands of responses is rounded in its last digits. */
const rounding = 1e-12;

/**
 * The mean gain over responses to the same prompts, and what it is above with `confidence`, by Student's t over the prompts: responses
 * to one prompt resemble each other, so it is prompts that count.
 *
 * @param confidence in (0, 1)
 */
export function gainLowerBound(values: readonly PairedValue[], confidence: number): GainBound {
  const gains = [...groupBy(values, ({ prompt }) => prompt).values()].map((responses) =>
    mean(responses.map(({ initial, final }) => final - initial)),
  );
  const largest = values.reduce((top, { initial, final }) => Math.max(top, Math.abs(initial), Math.abs(final)), 0);
  const spread = standardDeviation(gains);
  const sd = spread <= rounding * largest ? 0 : spread;
  const prompts = gains.length;
  const margin = prompts < 2 ? NaN : (studentQuantile(confidence, prompts - 1) * sd) / Math.sqrt(prompts);
  return { responses: values.length, prompts, mean: mean(gains), sd, lower: mean(gains) - margin };
}
