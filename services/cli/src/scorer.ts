import { DomainError } from '@surefoot/errors';
import type { WeightForm } from '@surefoot/language-model';
import { scorableText, type RolloutRow } from '@surefoot/preference';
import type { ModelIdentity, Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { RewardEnsembleClient, type RolloutScore } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import {
  disposeEnsemble,
  encodeSequence,
  ensembleSize,
  loadEnsemble,
  scoreSequences,
  type Calibration,
  type RewardEnsemble,
} from '@surefoot/reward';
import { callUnary, createClient } from '@surefoot/service';
import type { BackendName } from '@surefoot/tensor';
import type { Context } from './command';
import { openForModel } from './compute/open-backend';
import { UsageError } from './failure';
import { atLine } from './lines';
import { checkIds, noteOrigin } from './model-options';
import { address, backend, option, text } from './option';

/** Raw scores [K] of a rollout, or why it has none. */
export type Attempt = ArrayLike<number> | DomainError;

/** An ensemble that scores rollouts, here or in a service. */
export interface Scorer {
  /** `name@version`. */
  model: string;
  /** [K] */
  calibration: Calibration[];
  /** Rollouts that one call of `score` may hold. */
  batchSize: number;
  /** Whether conversations can be rendered; undefined of a service, which does not say. */
  hasChatTemplate?: boolean;
  /** Raw scores [N][K]. @throws DomainError naming the first rollout that cannot be scored */
  score(rows: RolloutRow[]): Promise<ArrayLike<number>[]>;
  /** Raw scores [N][K]; in the place of a rollout that is at fault itself stands what is wrong with it. */
  tryScore(rows: RolloutRow[]): Promise<Attempt[]>;
  close(): void;
}

/** The options by which commands choose what scores. */
export const scorerOptions = {
  ensemble: option('<dir>', 'ensemble folder', text.optional()),
  address: option('<host:port>', 'reward-ensemble service', address.optional()),
  backend,
};

/** What scores, as the options say. */
export interface ScorerChoice {
  ensemble?: string;
  model?: string;
  /** On `model`. */
  adapter?: string;
  address?: string;
  weights?: WeightForm;
  backend: BackendName;
}

/** What scores: exactly one of an ensemble folder, a reward-model folder and a service. */
export async function openScorer(options: ScorerChoice, context: Context): Promise<Scorer> {
  const folders = [options.ensemble, options.model].filter((folder) => folder !== undefined);
  if (folders.length + (options.address === undefined ? 0 : 1) !== 1)
    throw new UsageError('give exactly one of --ensemble, --model (of score) and --address');
  if (options.adapter !== undefined && options.model === undefined)
    throw new UsageError('--adapter goes with --model, the model that it changes');
  return options.address === undefined ? localScorer(folders[0]!, options, context) : remoteScorer(options.address);
}

/** Whether scores can be put in standard deviations of each member: not those of an ensemble imported and never calibrated. */
export function isCalibrated(calibration: readonly Calibration[]): boolean {
  return calibration.some(({ mean, scale }) => mean !== 0 || scale !== 1);
}

/**
 * Says on stderr where scores are raw for want of a calibration. Of a model that is no ensemble there is nothing to say: it has one
 * member, and no place to keep a calibration.
 */
export function noteUncalibrated(
  { calibration }: Scorer,
  { ensemble, address: at }: ScorerChoice,
  { terminal }: Context,
): void {
  if (isCalibrated(calibration)) return;
  const hint = `surefoot reward calibrate --ensemble ${ensemble ?? '<its folder>'} --in <rollouts>`;
  if (ensemble !== undefined) terminal.note(`${ensemble} is not calibrated: scores are raw; ${hint}`);
  else if (at !== undefined)
    terminal.note(`the ensemble at ${at} is not calibrated: scores are raw; ${hint}, and start the service again`);
}

async function localScorer(
  folder: string,
  { adapter, weights = 'auto', backend: name }: ScorerChoice,
  context: Context,
): Promise<Scorer> {
  await openForModel(name, context, (await ensembleSize(folder, { adapter })).parameters);
  const ensemble = await loadEnsemble(folder, { adapter, weights, onWarning: context.terminal.note });
  if (adapter !== undefined) await noteOrigin(adapter, folder, context.terminal);
  const tryScore = async (rows: RolloutRow[]): Promise<Attempt[]> => {
    const encoded = rows.map((row) => encode(ensemble, scorableRow(row)));
    const scores = await scoreSequences(
      ensemble,
      encoded.filter((ids) => ids instanceof Int32Array),
    );
    return encoded.map((ids) => (ids instanceof Int32Array ? scores.shift()! : ids));
  };
  return {
    model: `${ensemble.name}@${ensemble.digest.slice(0, 12)}`,
    calibration: ensemble.calibration,
    batchSize: 64,
    hasChatTemplate: ensemble.tokenizer.hasChatTemplate,
    score: async (rows) => (await tryScore(rows)).map(scoresOf),
    tryScore,
    close: () => disposeEnsemble(ensemble),
  };
}

/** A rollout as the contract asks of its texts, so that it has the same scores here and in a service. */
function scorableRow({ prompt, response, ...rest }: RolloutRow): RolloutRow {
  return {
    ...rest,
    prompt:
      prompt === undefined || typeof prompt === 'string'
        ? prompt && scorableText(prompt)
        : prompt.map(({ role, content }) => ({ role, content: scorableText(content) })),
    response: response && scorableText(response),
  };
}

/** A rollout's ids, or what is wrong with it. @throws DomainError where every rollout like it would fail: no chat template */
function encode({ tokenizer, configs, maxTokens }: RewardEnsemble, row: RolloutRow): Int32Array | DomainError {
  const where = `id ${row.id}`;
  try {
    const ids = atLine(where, () => encodeSequence(tokenizer, row, maxTokens));
    checkIds(ids, configs[0]!, { where });
    return ids;
  } catch (error) {
    if (error instanceof DomainError && error.kind === 'invalid_argument') return error;
    throw error;
  }
}

function scoresOf(attempt: Attempt): ArrayLike<number> {
  if (attempt instanceof DomainError) throw attempt;
  return attempt;
}

const describeMs = 5_000;
const scoreMs = 300_000;
/** The status of a rollout that is at fault itself. */
const invalidArgument = 3;

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
  const tryScore = async (rows: RolloutRow[]): Promise<Attempt[]> => {
    const rollouts = rows.map((row) => wireRollout(scorableRow(row), tokenizerDigest));
    const call = { deadlineMs: scoreMs, idempotent: true };
    const { scores } = await callUnary(client, 'scoreBatch', { rollouts }, call);
    return scores.map(memberScores);
  };
  return {
    model: versioned(model),
    calibration: members.map(({ mean, scale }) => ({ mean, scale })),
    batchSize: Math.min(limits?.maxRolloutsPerMessage ?? 128, 128),
    score: async (rows) => (await tryScore(rows)).map(scoresOf),
    tryScore,
    close: () => client.close(),
  };
}

function versioned(model: ModelIdentity | undefined): string {
  return `${model?.name ?? 'unknown'}@${model?.version ?? 'unknown'}`;
}

function memberScores({ id, status, memberScores: scores }: RolloutScore): Attempt {
  if (!status) return scores;
  const message = `id ${id}: ${status.message}`;
  if (status.code === invalidArgument) return new DomainError('invalid_argument', message);
  throw new DomainError('failed_precondition', message);
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
