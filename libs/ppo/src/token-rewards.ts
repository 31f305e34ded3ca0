import type { PpoConfig } from './ppo-config';
import type { RegularisedReward } from './regularisers';

/**
 * Reward of every response token: the weighted KL penalty, and the response's reward on its last token.
 *
 * `R_t = -beta * klWeight * D_t`, and on the last token `+ reward`; with `klPlacement: terminal` the whole penalty
 * `-beta * klWeight * sum_t D_t` sits there too.
 *
 * @param logRatios [n] `D_t = ln pi(token) - ln pi0(token)`, nats, rollouts one after the other
 * @param offsets [B+1] where each rollout's tokens begin
 * @param rewards [B]
 * @returns [n]
 */
export function tokenRewards(
  logRatios: ArrayLike<number>,
  offsets: Int32Array,
  rewards: RegularisedReward[],
  { beta, klPlacement }: { beta: number; klPlacement: PpoConfig['klPlacement'] },
): Float64Array {
  const paid = new Float64Array(logRatios.length);
  rewards.forEach(({ klWeight, reward }, b) => {
    const last = offsets[b + 1]! - 1;
    for (let t = offsets[b]!; t <= last; t++)
      paid[klPlacement === 'token' ? t : last]! -= beta * klWeight * logRatios[t]!;
    paid[last]! += reward;
  });
  return paid;
}
