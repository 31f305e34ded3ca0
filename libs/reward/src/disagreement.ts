import { DomainError } from '@surefoot/errors';
import { quantile, spearman } from '@surefoot/risk';
import { ensembleStatistics } from './ensemble-statistics';

/** How far K members are apart on one text. */
export interface TextDisagreement {
  id: string;
  min: number;
  max: number;
  /** max - min */
  range: number;
  mean: number;
  /** Unbiased, divided by K - 1. */
  sd: number;
  /** [K] */
  scores: number[];
}

/** How far K members are apart on many texts. */
export interface Disagreement {
  members: number;
  /** In the order given. */
  texts: TextDisagreement[];
  /** Of the ranges over the texts, linear between order statistics. */
  rangeQuantiles: { level: number; value: number }[];
  /** Ids of the texts with the widest ranges, widest first. */
  widest: string[];
  /** Ids of the texts with the narrowest ranges, narrowest first. */
  narrowest: string[];
  /** [K][K] rank correlation between members over the texts; null where one's scores do not vary, or there is one text. */
  spearman: (number | null)[][];
}

const levels = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1];

/**
 * How much the members of an ensemble disagree on the same texts.
 *
 * @param scores [N][K], on one scale: calibrated scores, or raw ones of members that share theirs
 * @param ids [N] of the texts
 * @param options.named how many of the widest and of the narrowest texts to name, default 10; no text is named twice
 * @throws DomainError failed_precondition for one member; invalid_argument where a score is not finite or a row has another K
 */
export function disagreement(
  scores: ArrayLike<number>[],
  ids: string[],
  { named = 10 }: { named?: number } = {},
): Disagreement {
  const members = scores[0]?.length ?? 0;
  checkScores(scores, ids, members);
  const texts = scores.map((row, i) => textDisagreement(ids[i] as string, Array.from(row)));
  const ranges = texts.map(({ range }) => range);
  const byRange = texts.toSorted((a, b) => b.range - a.range).map(({ id }) => id);
  const columns = Array.from({ length: members }, (_, k) => scores.map((row) => row[k] as number));
  return {
    members,
    texts,
    rangeQuantiles: levels.map((level) => ({ level, value: quantile(ranges, level) })),
    widest: byRange.slice(0, named),
    narrowest: byRange.slice(named).slice(-named).reverse(),
    spearman: columns.map((a) => columns.map((b) => finiteOrNull(spearman(a, b)))),
  };
}

function textDisagreement(id: string, scores: number[]): TextDisagreement {
  const [min, max] = [Math.min(...scores), Math.max(...scores)];
  const { mean, variance } = ensembleStatistics(scores);
  return { id, min, max, range: max - min, mean, sd: Math.sqrt(variance as number), scores };
}

function checkScores(scores: ArrayLike<number>[], ids: string[], members: number): void {
  if (members === 1)
    throw new DomainError(
      'failed_precondition',
      'one reward model has nobody to disagree with: fit at least two members',
    );
  const isWhole = (row: ArrayLike<number>) => row.length === members && Array.from(row).every(Number.isFinite);
  if (scores.length === 0 || scores.length !== ids.length || !scores.every(isWhole))
    throw new DomainError('invalid_argument', 'scores must be finite, one for each member, and one row for each id');
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
