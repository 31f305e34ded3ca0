import { DomainError } from '@surefoot/errors';
import type { RolloutRow } from '@surefoot/preference';
import type { ModelIdentity, Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { RewardEnsembleClient, type RolloutScore } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import {
  disposeEnsemble,
  encodeSequence,
  loadEnsemble,
  scoreSequences,
  type Calibration,
  type RewardEnsemble,
} from '@surefoot/reward';
import { callUnary, createClient } from '@surefoot/service';
import { openBackend, type BackendName } from '@surefoot/tensor';
import { UsageError } from './failure';
import { atLine } from './lines';
import { checkIds } from './model-options';
import { address, backend, option, text } from './option';

/** An ensemble that scores rollouts, here or in a service. */
export interface Scorer {
  /** `name@version`. */
  model: string;
  /** [K] */
  calibration: Calibration[];
  /** Rollouts that one call of `score` may hold. */
  batchSize: number;
  /** Raw scores [N][K]. @throws DomainError naming the rollout that cannot be scored */
  score(rows: RolloutRow[]): Promise<ArrayLike<number>[]>;
  close(): void;
}

/** The options by which commands choose what scores. */
export const scorerOptions = {
  ensemble: option('<dir>', 'ensemble folder', text.optional()),
  address: option('<host:port>', 'reward-ensemble service', address.optional()),
  backend,
};

/** What scores: exactly one of an ensemble folder, a reward-model folder and a service. */
export async function openScorer(options: {
  ensemble?: string;
  model?: string;
  address?: string;
  backend: BackendName;
}): Promise<Scorer> {
  const folders = [options.ensemble, options.model].filter((folder) => folder !== undefined);
  if (folders.length + (options.address === undefined ? 0 : 1) !== 1)
    throw new UsageError('give exactly one of --ensemble, --model (of score) and --address');
  return options.address === undefined ? localScorer(folders[0]!, options.backend) : remoteScorer(options.address);
}

async function localScorer(folder: string, name: BackendName): Promise<Scorer> {
  await openBackend(name);
  const ensemble = await loadEnsemble(folder);
  return {
    model: `${ensemble.name}@${ensemble.digest.slice(0, 12)}`,
    calibration: ensemble.calibration,
    batchSize: 64,
    score: (rows) =>
      scoreSequences(
        ensemble,
        rows.map((row) => encode(ensemble, row)),
      ),
    close: () => disposeEnsemble(ensemble),
  };
}

function encode({ tokenizer, members, maxTokens }: RewardEnsemble, row: RolloutRow): Int32Array {
  const where = `id ${row.id}`;
  const ids = atLine(where, () => encodeSequence(tokenizer, row, maxTokens));
  checkIds(ids, members[0]!.config, { where });
  return ids;
}

const describeMs = 5_000;
const scoreMs = 300_000;

/** Scoring by a service. @throws DomainError unavailable, failed_precondition where it is no reward ensemble */
export async function remoteScorer(at: string): Promise<Scorer> {
  const client = createClient(RewardEnsembleClient, at);
  const description = await callUnary(client, 'getEnsemble', {}, { deadlineMs: describeMs, idempotent: true }).catch(
    (error: unknown) => {
      client.close();
      throw error;
    },
  );
  const { members, limits, tokenizerDigest, model } = description;
  return {
    model: versioned(model),
    calibration: members.map(({ mean, scale }) => ({ mean, scale })),
    batchSize: Math.min(limits?.maxRolloutsPerMessage ?? 128, 128),
    async score(rows) {
      const rollouts = rows.map((row) => wireRollout(row, tokenizerDigest));
      const call = { deadlineMs: scoreMs, idempotent: true };
      const { scores } = await callUnary(client, 'scoreBatch', { rollouts }, call);
      return scores.map(memberScores);
    },
    close: () => client.close(),
  };
}

function versioned(model: ModelIdentity | undefined): string {
  return `${model?.name ?? 'unknown'}@${model?.version ?? 'unknown'}`;
}

function memberScores({ id, status, memberScores: scores }: RolloutScore): number[] {
  if (status) throw new DomainError('invalid_argument', `id ${id}: ${status.message}`);
  return scores;
}

function wireRollout({ id, prompt, response = '', ids, truncated }: RolloutRow, tokenizerDigest: string): Rollout {
  const wire: Rollout = { id, prompt: undefined, response, truncated, tokenIds: undefined, ttlMs: 0 };
  if (ids) {
    // Where the response begins does not matter to a scorer: it reads the last token.
    const tokenIds = { tokenizerDigest, promptIds: ids.slice(0, -1), responseIds: ids.slice(-1) };
    return { ...wire, prompt: { $case: 'text', value: '' }, tokenIds };
  }
  if (typeof prompt === 'string') return { ...wire, prompt: { $case: 'text', value: prompt } };
  return { ...wire, prompt: { $case: 'conversation', value: { messages: prompt ?? [] } } };
}
