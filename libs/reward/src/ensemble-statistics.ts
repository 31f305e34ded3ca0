import { DomainError } from '@surefoot/errors';

/** What puts one member's raw scores on the scale of the others: `(raw - mean) / scale`. */
export interface Calibration {
  /** Mean of the member's raw scores over reference samples. */
  mean: number;
  /** Their standard deviation, > 0. */
  scale: number;
}

/** What K members together say about one response. */
export interface EnsembleStatistics {
  mean: number;
  /** Unbiased, divided by K - 1; null for one member, which has no variance. */
  variance: number | null;
}

/**
 * Mean and unbiased variance over the members' scores of one response: `s2 = sum_k (z_k - mean)^2 / (K - 1)`.
 *
 * @param scores [K] raw scores
 * @param calibration [K] `z_k = (score_k - mean_k) / scale_k`; default: the scores as they are
 * @throws DomainError invalid_argument where there is no score, or the calibration is of another number of members
 */
export function ensembleStatistics(scores: ArrayLike<number>, calibration?: Calibration[]): EnsembleStatistics {
  const members = scores.length;
  if (members === 0 || (calibration && calibration.length !== members))
    throw new DomainError(
      'invalid_argument',
      `${members} scores for ${calibration?.length ?? 'any number of'} members`,
    );
  const values = Array.from(scores, (score, k) => {
    const { mean, scale } = calibration?.[k] ?? { mean: 0, scale: 1 };
    return (score - mean) / scale;
  });
  const mean = values.reduce((sum, value) => sum + value, 0) / members;
  if (members === 1) return { mean, variance: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, variance: squares / (members - 1) };
}

/**
 * Each member's mean and standard deviation (divided by N) over reference samples.
 *
 * @param scores [N][K] raw scores
 * @throws DomainError failed_precondition where a member gives every sample the same score; diverged where one is not finite
 */
export function calibrationOf(scores: ArrayLike<number>[]): Calibration[] {
  return Array.from({ length: scores[0]?.length ?? 0 }, (_, k) => {
    const own = scores.map((row) => row[k] as number);
    const mean = own.reduce((sum, score) => sum + score, 0) / own.length;
    const scale = Math.sqrt(own.reduce((sum, score) => sum + (score - mean) ** 2, 0) / own.length);
    if (!Number.isFinite(scale))
      throw new DomainError('diverged', `reward member ${k} gives scores that are not finite`);
    if (scale === 0)
      throw new DomainError('failed_precondition', `reward member ${k} gives all ${own.length} samples the same score`);
    return { mean, scale };
  });
}

/**
 * How far K members say the same: the mean of Pearson's correlation over their pairs, which is `1 - mean of s2` where each
 * member is calibrated on these same samples.
 *
 * @param scores [N][K] raw scores
 * @returns null for one member
 * @throws DomainError as {@link calibrationOf}
 */
export function memberCorrelation(scores: ArrayLike<number>[]): number | null {
  const calibration = calibrationOf(scores);
  if (calibration.length < 2) return null;
  const variances = scores.map((row) => ensembleStatistics(row, calibration).variance as number);
  return 1 - variances.reduce((sum, variance) => sum + variance, 0) / variances.length;
}
