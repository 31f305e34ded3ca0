/**
 * Probability that the first of two responses is preferred: `sigmoid(scoreDifference)`, the Bradley–Terry model.
 *
 * @param scoreDifference score of the first less score of the second, in units of log-odds
 */
export function preferenceProbability(scoreDifference: number): number {
  // Both branches only ever take exp of a negative number, so nothing overflows.
  const small = Math.exp(-Math.abs(scoreDifference));
  return scoreDifference >= 0 ? 1 / (1 + small) : small / (1 + small);
}

/**
 * Loss of one pair, nats: `-log sigmoid(chosen - rejected - margin) + centring * (chosen + rejected)^2`.
 *
 * @param options.margin   by how much the chosen score shall exceed the rejected one, >= 0, default 0
 * @param options.centring weight of the term that fixes the scores' origin, >= 0, default 0
 * Source: Bradley & Terry 1952; margin: Touvron et al. 2023, arXiv:2307.09288; centring: Eisenstein et al. 2023, arXiv:2312.09244.
 */
export function bradleyTerryLoss(
  chosen: number,
  rejected: number,
  { margin = 0, centring = 0 }: { margin?: number; centring?: number } = {},
): number {
  const difference = chosen - rejected - margin;
  const logLoss = Math.max(-difference, 0) + Math.log1p(Math.exp(-Math.abs(difference)));
  return logLoss + centring * (chosen + rejected) ** 2;
}
