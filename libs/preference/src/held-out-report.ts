import { DomainError } from '@surefoot/errors';
import { bradleyTerryLoss, preferenceProbability } from './bradley-terry';
import type { PreferencePair } from './preference-pair';

/** A share of pairs with its uncertainty. */
export interface Accuracy {
  /** 0..1; a tie counts as wrong. */
  accuracy: number;
  /** Wilson 95 % interval of `accuracy`. */
  accuracyCi95: [number, number];
}

/** How well scores predict preferences that they were not fitted on. */
export interface HeldOutReport extends Accuracy {
  pairs: number;
  /** Mean of `-log p`, nats, with `p = sigmoid(chosen - rejected)`; ln 2 = 0.693 says nothing. */
  logLoss: number;
  /** Expected calibration error of the predicted winner's probability, ten bins of equal width on (1/2, 1]. */
  ece: number;
  /** Mean of `(1 - p)^2`; 0.25 says nothing. */
  brier: number;
}

/**
 * Accuracy, log-loss and calibration of scores on held-out pairs.
 *
 * @param scoresChosen, scoresRejected [N] raw scores of the two responses of each pair
 * @throws DomainError invalid_argument where the lengths differ, are 0, or a score is not finite
 */
export function heldOutReport(scoresChosen: ArrayLike<number>, scoresRejected: ArrayLike<number>): HeldOutReport {
  const differences = scoreDifferences(scoresChosen, scoresRejected);
  const isRight = differences.map((difference) => difference > 0);
  // "chosen" is always the preferred one, so calibration is asked of the winner that the scores predict.
  const confidences = differences.map((difference) => preferenceProbability(Math.abs(difference)));
  return {
    pairs: differences.length,
    ...accuracyOf(isRight),
    logLoss: mean(differences.map((difference) => bradleyTerryLoss(difference, 0))),
    ece: expectedCalibrationError(confidences, isRight, 10, 0.5),
    brier: mean(differences.map((difference) => preferenceProbability(-difference) ** 2)),
  };
}

/** Accuracy of the rule "the longer answer wins" (in UTF-16 code units), to hold scores against. */
export function longerWins(pairs: PreferencePair[]): Accuracy {
  return accuracyOf(pairs.map(({ chosen, rejected }) => chosen.length > rejected.length));
}

/**
 * Mean distance between predicted probability and observed frequency, weighted by bin size; a bin holds its upper edge,
 * and the first its lower one too.
 *
 * @param probabilities [N] of the outcome, `from`..1
 * @param outcomes [N] whether it came
 * @param bins number of bins of equal width on `from`..1
 * @param from default 0
 * Source: Guo et al. 2017, arXiv:1706.04599.
 */
export function expectedCalibrationError(probabilities: number[], outcomes: boolean[], bins: number, from = 0): number {
  const excess = new Float64Array(bins);
  probabilities.forEach((probability, i) => {
    // The slack keeps a probability that is an edge but for rounding in the bin below it.
    const bin = Math.min(Math.max(Math.ceil(((probability - from) / (1 - from)) * bins - 1e-12) - 1, 0), bins - 1);
    excess[bin] = (excess[bin] as number) + probability - (outcomes[i] ? 1 : 0);
  });
  return excess.reduce((sum, bin) => sum + Math.abs(bin), 0) / probabilities.length;
}

/**
 * Wilson's score interval of a share at 95 %.
 *
 * @returns [low, high], within 0..1
 * Source: Wilson 1927.
 */
export function wilsonInterval(successes: number, trials: number): [number, number] {
  const z = 1.959963984540054;
  const share = successes / trials;
  const centre = share + (z * z) / (2 * trials);
  const half = z * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  const scale = 1 + (z * z) / trials;
  return [Math.max(0, (centre - half) / scale), Math.min(1, (centre + half) / scale)];
}

function scoreDifferences(chosen: ArrayLike<number>, rejected: ArrayLike<number>): number[] {
  if (chosen.length !== rejected.length || chosen.length === 0)
    throw new DomainError(
      'invalid_argument',
      `${chosen.length} chosen and ${rejected.length} rejected scores: there must be as many, and at least one`,
    );
  return Array.from(chosen, (score, i) => {
    const difference = score - (rejected[i] as number);
    if (!Number.isFinite(difference)) throw new DomainError('invalid_argument', `score of pair ${i} is not finite`);
    return difference;
  });
}

function accuracyOf(isRight: boolean[]): Accuracy {
  const right = isRight.filter(Boolean).length;
  return { accuracy: right / isRight.length, accuracyCi95: wilsonInterval(right, isRight.length) };
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
