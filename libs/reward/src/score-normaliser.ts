import { DomainError } from '@surefoot/errors';
import { ensembleStatistics } from './ensemble-statistics';

/** Samples of one prompt from which its own mean is known well enough: the mean's error is then a third of a score's sd. */
const samplesPerPrompt = 8;

/** How raw member scores become comparable; plain JSON, kept in checkpoints. */
export interface ScoreNormaliser {
  /** `prompt`: each prompt has its own mean; `all`: one mean for all prompts. */
  centring: 'prompt' | 'all';
  /** [K] means by prompt key; the key is empty where the centring is `all`. */
  means: Record<string, number[]>;
  /** [K] standard deviation of the centred scores over the reference samples, > 0. */
  scales: number[];
  /** Mean over the reference samples of the members' unbiased variance; null for one member. */
  meanVariance: number | null;
}

/** Scores of one response, in units of the reference samples. */
export interface NormalisedScores {
  /** [K] centred and scaled, not clipped. */
  members: Float64Array;
  /** Unbiased variance over the members, divided by its mean over the reference samples; null for one member. */
  variance: number | null;
}

/**
 * Normaliser from scores of reference samples: centres each member per prompt (over all prompts where some prompt has fewer
 * than eight samples), divides by its standard deviation (divided by N), and measures the mean of the variance.
 *
 * @param reference.scores     [N][K] raw scores
 * @param reference.promptKeys [N] equal for samples of one prompt
 * @throws DomainError failed_precondition where a member's scores do not vary, or no sample shows a difference between members
 */
export function fitScoreNormaliser(reference: { scores: ArrayLike<number>[]; promptKeys: string[] }): ScoreNormaliser {
  const { scores, promptKeys } = reference;
  checkReference(scores, promptKeys);
  const counts = new Map<string, number>();
  for (const key of promptKeys) counts.set(key, (counts.get(key) ?? 0) + 1);
  const centring = Math.min(...counts.values()) >= samplesPerPrompt ? 'prompt' : 'all';
  const keys = centring === 'prompt' ? promptKeys : promptKeys.map(() => '');
  const means = meansByKey(scores, keys);
  const scales = scalesAround(scores, keys, means);
  if (scales.length === 1) return { centring, means, scales, meanVariance: null };
  const unit = { centring, means, scales, meanVariance: 1 } as const;
  const variances = scores.map((row, i) => normaliseScores(unit, row, promptKeys[i] as string).variance as number);
  const meanVariance = variances.reduce((sum, variance) => sum + variance, 0) / variances.length;
  if (meanVariance === 0)
    throw new DomainError(
      'failed_precondition',
      'all reward members give the same scores, so there is no uncertainty to use',
    );
  return { ...unit, meanVariance };
}

/**
 * Raw member scores of one response, centred and scaled, and their variance relative to the reference samples.
 *
 * @param scores    [K] raw scores
 * @param promptKey as in the reference samples
 * @throws DomainError failed_precondition where the prompt has no reference sample; invalid_argument where K differs
 */
export function normaliseScores(
  normaliser: ScoreNormaliser,
  scores: ArrayLike<number>,
  promptKey: string,
): NormalisedScores {
  const { centring, means, scales, meanVariance } = normaliser;
  const key = centring === 'prompt' ? promptKey : '';
  const mean = Object.hasOwn(means, key) ? means[key] : undefined;
  if (!mean)
    throw new DomainError('failed_precondition', 'a prompt has no reference samples, so its scores cannot be centred');
  if (scores.length !== scales.length)
    throw new DomainError(
      'invalid_argument',
      `${scores.length} scores where the reference had ${scales.length} members`,
    );
  const members = Float64Array.from(scores, (score, k) => (score - (mean[k] as number)) / (scales[k] as number));
  const { variance } = ensembleStatistics(members);
  return { members, variance: variance === null || meanVariance === null ? null : variance / meanVariance };
}

function checkReference(scores: ArrayLike<number>[], promptKeys: string[]): void {
  const members = scores[0]?.length ?? 0;
  const isWhole = scores.every((row) => row.length === members && Array.from(row).every(Number.isFinite));
  if (members === 0 || scores.length !== promptKeys.length || !isWhole)
    throw new DomainError(
      'invalid_argument',
      'reference scores must be finite, one for each member, with one prompt key a row',
    );
}

function meansByKey(scores: ArrayLike<number>[], keys: string[]): Record<string, number[]> {
  const sums = new Map<string, { count: number; sums: Float64Array }>();
  scores.forEach((row, i) => {
    const key = keys[i] as string;
    const entry = sums.get(key) ?? { count: 0, sums: new Float64Array(row.length) };
    sums.set(key, { count: entry.count + 1, sums: entry.sums.map((sum, k) => sum + (row[k] as number)) });
  });
  return Object.fromEntries(
    Array.from(sums, ([key, entry]) => [key, Array.from(entry.sums, (sum) => sum / entry.count)]),
  );
}

function scalesAround(scores: ArrayLike<number>[], keys: string[], means: Record<string, number[]>): number[] {
  return Array.from({ length: scores[0]?.length ?? 0 }, (_, k) => {
    const squares = scores.reduce((sum, row, i) => sum + (row[k]! - means[keys[i]!]![k]!) ** 2, 0);
    const scale = Math.sqrt(squares / scores.length);
    if (scale === 0)
      throw new DomainError(
        'failed_precondition',
        `reward member ${k} gives the same score to all ${scores.length} reference samples of a prompt`,
      );
    return scale;
  });
}
