import { DomainError } from '@surefoot/errors';
import type { PpoConfig, PpoMode } from './ppo-config';

/** Scores of one response, each member centred and scaled over reference samples, none clipped. */
export interface NormalisedScores {
  /** [K] */
  members: ArrayLike<number>;
  /** Unbiased variance over members divided by its mean over reference samples; null for one member, which has none. */
  variance: number | null;
}

/** What one response is paid. */
export interface RegularisedReward {
  /** Base score before clipping, standard deviations. */
  score: number;
  /** Factor of the KL penalty `beta * D_t`. */
  klWeight: number;
  /** Paid on the last response token besides the KL penalty. */
  reward: number;
}

/** What the base score r is taken from: the deployed member, or a statistic of all, which every run against one ensemble shares. */
export type ScoreSource = 'member' | 'mean' | 'median' | 'minimum' | 'soft-minimum';

interface Regulariser {
  usesVariance: boolean;
  /** Where the mode, and not `config.reward`, decides it. */
  source?: ScoreSource;
  /** The score r, before clipping. */
  score: (members: ArrayLike<number>, config: PpoConfig) => number;
  /** Factor of `beta * D_t`; w is the clamped variance. */
  klWeight: (w: number) => number;
  /** Reward on the last token from the clipped score r and the clamped variance w. */
  reward: (r: number, w: number, options: PpoConfig & { beta: number }) => number;
}

const vanilla: Regulariser = { usesVariance: false, score: chosenScore, klWeight: () => 1, reward: (r) => r };

/** The seven modes; sources and each mode's fixed point on a bandit: README.md. */
const regularisers: Record<PpoMode, Regulariser> = {
  vanilla,
  'variance-weighted-kl': { ...vanilla, usesVariance: true, klWeight: (w) => w },
  // The gradient of E[w ln(pi / pi0)] is E[grad ln pi * w (ln(pi / pi0) + 1)]; where w varies, its "+ 1" is no baseline.
  'variance-weighted-kl-exact': {
    ...vanilla,
    usesVariance: true,
    klWeight: (w) => w,
    reward: (r, w, { beta }) => r - beta * w,
  },
  'inverse-variance': {
    ...vanilla,
    usesVariance: true,
    reward: (r, w, { varianceFloor }) => r / Math.max(w, varianceFloor),
  },
  uwo: {
    ...vanilla,
    usesVariance: true,
    source: 'mean',
    score: mean,
    reward: (r, w, { uwoLambda }) => r - uwoLambda * w,
  },
  wco: { ...vanilla, source: 'minimum', score: minimum },
  'soft-min': { ...vanilla, source: 'soft-minimum', score: softMinimum },
};

/** What runs of a configuration take their base score from. */
export function scoreSource({ mode, reward }: Pick<PpoConfig, 'mode' | 'reward'>): ScoreSource {
  return regularisers[mode].source ?? reward;
}

/**
 * What a mode pays for one response.
 *
 * The order is fixed: the base score is taken from unclipped members (`uwo` the mean, `wco` the minimum, `soft-min`
 * `-t ln((1/K) sum exp(-r_k/t))`, otherwise `config.reward`), then clipped to `± rewardClip`, then the mode's variance
 * term is added, with `w = clamp(variance, weightClampMin, weightClampMax)`. A missing end of sequence, where it has a
 * price, is paid in place of all of that: it is known for certain, so that no variance softens it.
 *
 * @param options.hasEos whether the response ended by itself
 * @param options.beta strength of the penalty in this iteration
 * @throws DomainError failed_precondition where the mode needs a variance and there is one member; invalid_argument for a
 *   score that is not finite or a member that does not exist
 */
export function regularise(
  { members, variance }: NormalisedScores,
  { hasEos, beta, config }: { hasEos: boolean; beta: number; config: PpoConfig },
): RegularisedReward {
  const regulariser = regularisers[config.mode];
  if (regulariser.usesVariance && variance === null)
    throw new DomainError(
      'failed_precondition',
      `mode ${config.mode} needs the members' variance, and one member has no variance: use an ensemble of at least two, or mode vanilla`,
    );
  checkFinite(members, variance);
  const score = regulariser.score(members, config);
  const w = variance === null ? 1 : Math.min(Math.max(variance, config.weightClampMin), config.weightClampMax);
  const reward =
    !hasEos && config.missingEosPenalty !== null
      ? config.missingEosPenalty
      : regulariser.reward(clip(score, config.rewardClip), w, { ...config, beta });
  return { score, klWeight: regulariser.klWeight(w), reward };
}

function checkFinite(members: ArrayLike<number>, variance: number | null): void {
  const bad = Array.from(members).findIndex((score) => !Number.isFinite(score));
  if (bad >= 0)
    throw new DomainError('invalid_argument', `member ${bad} gave the score ${members[bad]}, no finite number`);
  if (variance !== null && !(Number.isFinite(variance) && variance >= 0))
    throw new DomainError('invalid_argument', `the members' variance is ${variance}, no finite number >= 0`);
}

function chosenScore(members: ArrayLike<number>, { reward, member }: PpoConfig): number {
  if (reward === 'mean') return mean(members);
  if (reward === 'median') return median(members);
  const score = members[member];
  if (score === undefined)
    throw new DomainError('invalid_argument', `member ${member} is to be the reward, but there are ${members.length}`);
  return score;
}

function mean(members: ArrayLike<number>): number {
  return Array.from(members).reduce((sum, score) => sum + score, 0) / members.length;
}

function median(members: ArrayLike<number>): number {
  const sorted = Float64Array.from(members).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

function minimum(members: ArrayLike<number>): number {
  return Math.min(...Array.from(members));
}

// Shifted by the minimum, so that no exponential overflows.
function softMinimum(members: ArrayLike<number>, { softMinTemperature }: PpoConfig): number {
  const least = minimum(members);
  const weights = Float64Array.from(members, (score) => Math.exp((least - score) / softMinTemperature));
  return least - softMinTemperature * Math.log(mean(weights));
}

function clip(score: number, bound: number): number {
  return bound === 0 ? score : Math.min(Math.max(score, -bound), bound);
}
