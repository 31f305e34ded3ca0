import { setMaxListeners } from 'node:events';
import { DomainError } from '@surefoot/errors';
import { regularise, type PpoConfig } from '@surefoot/ppo';
import { scorableText } from '@surefoot/preference';
import type { Rollout as WireRollout } from '@surefoot/proto/surefoot/common/v1/common';
import { createScoringPool, type ScorerDescription, type ScoringCounters } from '@surefoot/scoring-client';
import type { ScorerIdentity } from './run';
import type { RunSettings } from './run-settings';
import type { ScoreRequest, Scores } from './training-job';

/** The scorers of one run, connected. */
export interface Scorers {
  ensemble: ScorerIdentity;
  /** Undefined without a judge. */
  judge?: ScorerIdentity;
  /** @throws DomainError unavailable where nobody answers, and that of a rollout that was refused; AbortError */
  score(request: ScoreRequest): Promise<Scores>;
  /** What has gone over the wire so far. */
  counters(): { ensemble: ScoringCounters; judge?: ScoringCounters };
  close(): void;
}

/**
 * Connects a run's scorers and checks that the ensemble fits the run.
 *
 * @param options.patienceMs how long to wait while no replica of one of them can be used
 * @throws DomainError unavailable, failed_precondition, invalid_argument; AbortError
 */
export async function connectScorers(
  { ensembleAddress, judgeAddress, ppo }: Pick<RunSettings, 'ensembleAddress' | 'judgeAddress' | 'ppo'>,
  { patienceMs, signal }: { patienceMs: number; signal: AbortSignal },
): Promise<Scorers> {
  const pool = { giveUpMs: patienceMs };
  const ensemble = createScoringPool({ ...pool, kind: 'reward-ensemble', addresses: splitAddresses(ensembleAddress) });
  const judge =
    judgeAddress === 'none'
      ? undefined
      : createScoringPool({ ...pool, kind: 'judge', addresses: splitAddresses(judgeAddress) });
  const close = () => {
    ensemble.close();
    judge?.close();
  };
  // Every chunk on its way listens to it.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', close, { once: true });
  try {
    const description = await ensemble.describe();
    refuseUnfit(description, ppo);
    return {
      ensemble: description.model,
      ...(judge && { judge: (await judge.describe()).model }),
      close,
      counters: () => ({ ensemble: ensemble.counters(), ...(judge && { judge: judge.counters() }) }),
      score: async (request) => {
        const rollouts = toWireRollouts(request);
        const [members, judged] = await Promise.all([
          request.asked.ensemble ? ensemble.score(rollouts, { signal }) : [],
          request.asked.judge && judge ? judge.score(rollouts, { signal }) : [],
        ]);
        return {
          members: members.map(({ memberScores }) => memberScores),
          judge: judged.map(({ score }) => score),
        };
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** How long StartRun waits for an ensemble that may not be up yet. */
const firstLookMs = 2_000;

/**
 * Asks the ensemble whether it fits a run; where it does not answer, the run will ask again.
 *
 * @throws DomainError invalid_argument (no such member), failed_precondition (no variance; replicas that differ)
 */
export async function checkEnsemble({ ensembleAddress, ppo }: RunSettings): Promise<void> {
  const addresses = splitAddresses(ensembleAddress);
  const ensemble = createScoringPool({ kind: 'reward-ensemble', addresses, giveUpMs: firstLookMs });
  try {
    refuseUnfit(await ensemble.describe(), ppo);
  } catch (error) {
    if (!(error instanceof DomainError && error.kind === 'unavailable')) throw error;
  } finally {
    ensemble.close();
  }
}

/** Tries the run's mode on scores of nothing, so that its own rules decide whether the ensemble fits. */
function refuseUnfit({ members }: ScorerDescription, config: PpoConfig): void {
  const variance = members.length > 1 ? 1 : null;
  regularise({ members: members.map(() => 0), variance }, { hasEos: true, beta: config.beta, config });
}

function splitAddresses(addresses: string): string[] {
  return addresses.split(',').map((address) => address.trim());
}

/** Rollouts as scorers read them; ids within the pool are its own. */
export function toWireRollouts({ rollouts, tokenizerDigest }: ScoreRequest): WireRollout[] {
  return rollouts.map(({ prompt, response, hasEos, promptIds, responseIds }, index) => ({
    id: String(index),
    prompt:
      typeof prompt === 'string'
        ? { $case: 'text', value: wireText(prompt) }
        : {
            $case: 'conversation',
            value: { messages: prompt.map(({ role, content }) => ({ role, content: wireText(content) })) },
          },
    response: wireText(response),
    // Special tokens alone leave no text; to another tokenizer that is an answer which ended at once.
    truncated: !hasEos && response.trim() !== '',
    tokenIds: { tokenizerDigest, promptIds, responseIds },
    ttlMs: 0,
  }));
}

const maxCharacters = 65_536;

/** Text as the contract accepts it. */
function wireText(text: string): string {
  return scorableText(text.slice(0, maxCharacters));
}
