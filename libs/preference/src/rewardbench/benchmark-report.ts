import { DomainError } from '@surefoot/errors';
import { preferenceProbability } from '../bradley-terry';
import { heldOutReport, type HeldOutReport } from '../held-out-report';
import { accuracyOfMargins, benchmarkAccuracies, type BenchmarkAccuracies, type SubsetAccuracy } from './accuracies';
import { coverageCurve, type CoverageCurve } from './coverage';
import { decide } from './decide';
import { reliability, type ReliabilityBin } from './reliability';

/** An item with what K members say of its answers. */
export interface ScoredItem {
  id: string | number;
  subset: string;
  /** How many of the answers are right; they come first. */
  correct: number;
  /** [R][K] raw scores. */
  scores: readonly ArrayLike<number>[];
}

/** What one member, or the mean of all, makes of the benchmark. */
export interface ScorerReport extends BenchmarkAccuracies, Omit<SubsetAccuracy, 'rowsOfBenchmark'> {
  /** `mean`, `member-0`, … */
  name: string;
  /** Of the predicted winner's probability, `sigmoid(|margin|)` in units of log-odds. */
  calibration: Pick<HeldOutReport, 'ece' | 'brier' | 'logLoss'> & { reliability: ReliabilityBin[] };
  /** Shares of all items with a winner whose probability is above `above`: right ones and wrong ones. */
  confident: { above: number; right: number; wrong: number };
}

/** What the mean and the members say of one item. */
export interface ItemReport {
  id: string | number;
  subset: string;
  /** Of the mean of the calibrated scores, in standard deviations; above 0 is right. */
  margin: number;
  /** Unbiased variance over the members of the difference of the two answers that decide; null for one member. */
  variance: number | null;
  /** How many members are right. */
  membersRight: number;
}

/** What an ensemble makes of a benchmark. */
export interface BenchmarkReport {
  /** Of the mean over members of the calibrated scores `(score - mean_k) / scale_k`. */
  mean: ScorerReport;
  /** [K], of raw scores. */
  members: ScorerReport[];
  /** Accuracy of the mean when it abstains where doubt is largest; null for one member. */
  coverage: {
    /** Doubt is the variance. */
    byVariance: CoverageCurve;
    /** Doubt is a small |margin|. */
    byMargin: CoverageCurve;
    /** Area with every wrong item left out before any right one. */
    bestArea: number;
  } | null;
  items: ItemReport[];
}

/** A winner of a probability above this is confident. */
const confidentAbove = 0.9;

/**
 * How an ensemble and its members do on a benchmark. The members' scores are log-odds, as they are fitted; the mean of their
 * calibrated scores is brought back to log-odds by the mean of their scales, for its probabilities alone.
 *
 * @param items at least one
 * @param calibration [K] mean and scale > 0 of each member's raw scores over reference samples
 * @throws DomainError invalid_argument where there is no item, or a score is not finite
 */
export function benchmarkReport(
  items: readonly ScoredItem[],
  calibration: readonly { mean: number; scale: number }[],
): BenchmarkReport {
  if (items.length === 0) throw new DomainError('invalid_argument', 'no item of a benchmark was scored');
  const means = meanScores(items, calibration);
  const decisions = items.map(({ correct, subset }, i) => decide(means[i]!, correct, subset));
  const margins = decisions.map(({ margin }) => margin);
  const ofMember = (k: number) =>
    items.map(({ scores, correct, subset }) => decide(memberScores(scores, k), correct, subset).margin);
  const memberMargins = calibration.map((_, k) => ofMember(k));
  const meanScale = calibration.reduce((sum, { scale }) => sum + scale, 0) / calibration.length;
  const found = items.map(({ id, subset, scores }, i) => {
    const { chosen, rejected, margin } = decisions[i]!;
    const differences = calibration.map(({ scale }, k) => (scores[chosen]![k]! - scores[rejected]![k]!) / scale);
    const membersRight = memberMargins.filter((own) => own[i]! > 0).length;
    return { id, subset, margin, variance: varianceOf(differences), membersRight };
  });
  return {
    mean: scorerReport('mean', items, margins, meanScale),
    members: memberMargins.map((own, k) => scorerReport(`member-${k}`, items, own, 1)),
    coverage: coverageOf(found),
    items: found,
  };
}

/** The mean over members of the calibrated scores of every answer. @returns [N][R] */
export function meanScores(
  items: readonly Pick<ScoredItem, 'scores'>[],
  calibration: readonly { mean: number; scale: number }[],
): number[][] {
  return items.map(({ scores }) =>
    scores.map(
      (own) => calibration.reduce((sum, { mean, scale }, k) => sum + (own[k]! - mean) / scale, 0) / calibration.length,
    ),
  );
}

/** One member's raw scores of the answers of an item. */
export function memberScores(scores: ScoredItem['scores'], k: number): number[] {
  return scores.map((own) => own[k]!);
}

/** @param unit log-odds of a margin of 1 */
function scorerReport(
  name: string,
  items: readonly ScoredItem[],
  margins: readonly number[],
  unit: number,
): ScorerReport {
  const logOdds = margins.map((margin) => unit * margin);
  const { ece, brier, logLoss } = heldOutReport(
    logOdds,
    logOdds.map(() => 0),
  );
  const confidences = logOdds.map((difference) => preferenceProbability(Math.abs(difference)));
  const isRight = margins.map((margin) => margin > 0);
  const confident = (right: boolean) =>
    confidences.filter((confidence, i) => confidence > confidentAbove && isRight[i] === right).length / margins.length;
  return {
    name,
    ...accuracyOfMargins(margins),
    ...benchmarkAccuracies(items.map(({ subset }, i) => ({ subset, margin: margins[i]! }))),
    calibration: { ece, brier, logLoss, reliability: reliability(confidences, isRight) },
    confident: { above: confidentAbove, right: confident(true), wrong: confident(false) },
  };
}

function coverageOf(items: readonly ItemReport[]): BenchmarkReport['coverage'] {
  const variances = items.flatMap(({ variance }) => (variance === null ? [] : [variance]));
  if (variances.length === 0) return null;
  const isRight = items.map(({ margin }) => margin > 0);
  return {
    byVariance: coverageCurve(isRight, variances),
    byMargin: coverageCurve(
      isRight,
      items.map(({ margin }) => -Math.abs(margin)),
    ),
    bestArea: coverageCurve(
      isRight,
      isRight.map((right) => (right ? 0 : 1)),
    ).area,
  };
}

function varianceOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}
