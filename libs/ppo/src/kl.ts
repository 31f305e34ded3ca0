/**
 * The k3 estimate of KL(p || q) from one sample x of p, given `logRatio = ln p(x) - ln q(x)`, nats, which is itself the estimate k1.
 * Both are unbiased; k1 may be negative, k3 never is.
 *
 * Source: Schulman, "Approximating KL divergence", 2020.
 */
export const klK3 = (logRatio: number): number => Math.expm1(-logRatio) + logRatio;

/** [n] `ln p - ln q` of every token, the k1 estimate of its KL. */
export function logRatios(p: ArrayLike<number>, q: ArrayLike<number>): Float64Array {
  return Float64Array.from(p, (logprob, t) => logprob - q[t]!);
}

/** Mean over rollouts of the sum over their tokens: a sequence KL, nats, where `x` holds token KLs. */
export function meanSequenceSum(x: ArrayLike<number>, rollouts: number): number {
  return Array.from(x).reduce((sum, value) => sum + value, 0) / rollouts;
}
