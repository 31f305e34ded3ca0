import { maxMessageBytes } from '@surefoot/service';
import type { ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';

/** Rollouts in one message. */
export const maxRolloutsPerMessage = 128;
/** Rollouts that one stream may have unanswered. */
export const maxOutstandingRollouts = 1024;

/** What a scorer whose models take `maxTokens` tokens accepts. */
export function scorerLimits(maxTokens: number): ScorerLimits {
  return { maxRolloutsPerMessage, maxTokensPerRollout: maxTokens, maxMessageBytes, maxOutstandingRollouts };
}
