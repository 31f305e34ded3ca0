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
  /** NaN for a single prompt with a single response. */
  lower: number;
}

/**
 * The mean gain over responses to the same prompts, and what it is above with `confidence`, by Student's t over the prompts: responses
 * to one prompt resemble each other, so it is prompts that count. All responses to one prompt alone are taken as they are.
 *
 * @param confidence in (0, 1)
 */
export function gainLowerBound(values: readonly PairedValue[], confidence: number): GainBound {
  const gains = groupBy(values, ({ prompt }) => prompt);
  const differences = (of: readonly PairedValue[]) => of.map(({ initial, final }) => final - initial);
  const units =
    gains.size > 1 ? [...gains.values()].map((responses) => mean(differences(responses))) : differences(values);
  const standardError = standardDeviation(units) / Math.sqrt(units.length);
  return {
    responses: values.length,
    prompts: gains.size,
    mean: mean(units),
    lower: units.length < 2 ? NaN : mean(units) - studentQuantile(confidence, units.length - 1) * standardError,
  };
}
