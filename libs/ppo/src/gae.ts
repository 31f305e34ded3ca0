import { DomainError } from '@surefoot/errors';

/**
 * Generalized advantage estimates and value targets of finished responses.
 *
 * `delta_t = r_t + gamma * V_{t+1} - V_t`, `A_t = sum_l (gamma * lambda)^l * delta_{t+l}`, with `V = 0` after the last token.
 *
 * @param rewards [n] per token, KL penalty included, rollouts one after the other
 * @param values [n] value at each token
 * @param offsets [B+1] where each rollout's tokens begin; the last entry is n
 * @param options.gamma discount per token, (0, 1]
 * @param options.lambda [0, 1]
 * @returns `advantages` [n], not whitened; `returns` [n] = advantages + values
 * @throws DomainError invalid_argument if the lengths differ
 *
 * Source: Schulman et al. 2016, arXiv:1506.02438, equation 16.
 */
export function gae(
  rewards: ArrayLike<number>,
  values: ArrayLike<number>,
  offsets: Int32Array,
  { gamma, lambda }: { gamma: number; lambda: number },
): { advantages: Float64Array; returns: Float64Array } {
  const n = offsets[offsets.length - 1];
  if (rewards.length !== n || values.length !== n)
    throw new DomainError('invalid_argument', `gae: ${rewards.length} rewards, ${values.length} values, ${n} tokens`);
  const advantages = new Float64Array(n);
  const returns = new Float64Array(n);
  for (let b = 0; b + 1 < offsets.length; b++) {
    let next = 0;
    let nextValue = 0;
    for (let t = offsets[b + 1]! - 1; t >= offsets[b]!; t--) {
      const delta = rewards[t]! + gamma * nextValue - values[t]!;
      next = advantages[t] = delta + gamma * lambda * next;
      nextValue = values[t]!;
      returns[t] = next + nextValue;
    }
  }
  return { advantages, returns };
}
