/**
 * Estimates of KL(p || q) from one sample x of p, given `logRatio = ln p(x) - ln q(x)`, nats.
 * k1 and k3 are unbiased; k1 may be negative, k2 and k3 never are.
 *
 * Source: Schulman, "Approximating KL divergence", 2020.
 */
export const klK1 = (logRatio: number): number => logRatio;
export const klK2 = (logRatio: number): number => logRatio ** 2 / 2;
export const klK3 = (logRatio: number): number => Math.expm1(-logRatio) + logRatio;

/** [n] `ln p - ln q` of every token. */
export function logRatios(p: ArrayLike<number>, q: ArrayLike<number>): Float64Array {
  return Float64Array.from(p, (logprob, t) => logprob - q[t]!);
}

/** Mean over rollouts of the sum over their tokens: a sequence KL, nats, where `x` holds token KLs. */
export function meanSequenceSum(x: ArrayLike<number>, rollouts: number): number {
  return Array.from(x).reduce((sum, value) => sum + value, 0) / rollouts;
}
