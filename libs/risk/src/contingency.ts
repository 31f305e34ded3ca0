import { logGamma } from './special-functions';

/**
 * Exact two-sided McNemar test: whether, of the pairs that differ, each side has its half.
 *
 * `p = min(1, 2 P(X <= min(aOnly, bOnly)))`, X binomial(aOnly + bOnly, 1/2).
 */
export function mcnemarExact(aOnly: number, bOnly: number): number {
  const n = aOnly + bOnly;
  let p = 0;
  for (let k = 0; k <= Math.min(aOnly, bOnly); k++) p += Math.exp(logChoose(n, k) - n * Math.LN2);
  return Math.min(1, 2 * p);
}

/**
 * Fisher's exact two-sided p of the table `[[a, b], [c, d]]`: the probability, with the margins as they are, of all tables
 * no likelier than this one.
 */
export function fisherExact([[a, b], [c, d]]: [[number, number], [number, number]]): number {
  const [row, column, total] = [a + b, a + c, a + b + c + d];
  const probability = (k: number) =>
    Math.exp(logChoose(row, k) + logChoose(total - row, column - k) - logChoose(total, column));
  // The mirrored table of equal rows is exactly as likely: rounding must not drop it.
  const limit = probability(a) * (1 + 1e-9);
  let p = 0;
  for (let k = Math.max(0, column - (total - row)); k <= Math.min(row, column); k++) {
    const likely = probability(k);
    if (likely <= limit) p += likely;
  }
  return Math.min(1, p);
}

function logChoose(n: number, k: number): number {
  return logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
}
