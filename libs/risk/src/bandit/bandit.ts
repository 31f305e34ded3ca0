import { DomainError } from '@surefoot/errors';

/** A choice among `n` responses whose rewards are known with an error: an estimate is `means + N(0, variances)`. */
export interface Bandit {
  /** [n] probabilities of the reference policy, each above 0, together 1. */
  reference: readonly number[];
  /** [n] true values. */
  means: readonly number[];
  /** [n] variances of one reward model's error, each above 0. */
  variances: readonly number[];
}

/**
 * Checks that the arms fit together.
 *
 * @throws DomainError invalid_argument listing every problem
 */
export function checkBandit({ reference, means, variances }: Bandit): void {
  const n = means.length;
  const problems: string[] = [];
  if (n < 2) problems.push('a bandit needs at least two arms');
  if (variances.length !== n) problems.push(`${n} means, but ${variances.length} variances`);
  if (reference.length !== n) problems.push(`${n} means, but ${reference.length} reference probabilities`);
  if (!means.every(Number.isFinite)) problems.push('means must be finite');
  if (!variances.every((variance) => variance > 0 && Number.isFinite(variance)))
    problems.push('variances must be finite and above 0');
  if (!reference.every((p) => p > 0)) problems.push('reference probabilities must be above 0');
  const sum = reference.reduce((total, p) => total + p, 0);
  if (!(Math.abs(sum - 1) <= 1e-6)) problems.push(`reference probabilities sum to ${sum}, not 1`);
  if (problems.length > 0) throw new DomainError('invalid_argument', problems.join('; '));
}

/** `sum a_i b_i`. */
export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

/** KL of a policy to the reference, nats. */
export function klOf(policy: readonly number[], reference: readonly number[]): number {
  return policy.reduce((sum, p, i) => (p > 0 ? sum + p * Math.log(p / (reference[i] as number)) : sum), 0);
}
