import { explainedVariance, mean } from './diagnostics';
import { klK3, meanSequenceSum } from './kl';
import type { LearningRates } from './learning-rates';
import type { PpoConfig } from './ppo-config';
import type { NormalisedScores, RegularisedReward } from './regularisers';
import type { PreparedBatch } from './rollout';
import type { StepReport } from './step';

/** Metrics of one iteration by name; formulas: README.md. All finite; one that does not exist is absent. */
export type PpoDiagnostics = Record<string, number>;

/** What one iteration came to, as `ppoUpdate` knows it. */
export interface IterationRecord {
  prepared: PreparedBatch;
  scores: NormalisedScores[];
  rewards: RegularisedReward[];
  /** [n] */
  returns: Float64Array;
  /** [n] log-ratio of the rollout policy to the reference, nats. */
  klToReference: Float64Array;
  rates: LearningRates;
  steps: StepReport[];
  /** The strength that this iteration used. */
  beta: number;
  config: PpoConfig;
}

/** Collects an iteration's metrics. */
export function metrics(record: IterationRecord): PpoDiagnostics {
  const all = { ...objectiveMetrics(record), ...updateMetrics(record) };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  );
}

function objectiveMetrics({ prepared, scores, rewards, klToReference, beta, config }: IterationRecord) {
  const { rollouts, offsets } = prepared;
  const { rewardClip } = config;
  const variances = scores.flatMap(({ variance }) => (variance === null ? [] : [variance]));
  return {
    'objective/kl': meanSequenceSum(klToReference, rollouts.length),
    'objective/kl_k3': meanSequenceSum(klToReference.map(klK3), rollouts.length),
    'objective/score': meanOf(rewards, ({ score }) => score),
    'objective/score_clip_fraction': meanOf(rewards, ({ score }) =>
      Number(rewardClip > 0 && Math.abs(score) > rewardClip),
    ),
    'objective/reward': meanOf(rewards, ({ reward }) => reward),
    'objective/beta': beta,
    'objective/weight_mean': meanOf(rewards, ({ klWeight }) => klWeight),
    'reward/variance_mean': variances.length > 0 ? mean(variances) : undefined,
    'response/length_mean': offsets[rollouts.length]! / rollouts.length,
    'response/eos_fraction': meanOf(rollouts, ({ hasEos }) => Number(hasEos)),
  };
}

function updateMetrics({ prepared, returns, rates, steps }: IterationRecord) {
  const measured = steps.filter(({ outcome }) => outcome !== 'skipped');
  const over = (metric: (step: StepReport) => number) => (measured.length > 0 ? meanOf(measured, metric) : undefined);
  const count = (outcome: StepReport['outcome']) => steps.filter((step) => step.outcome === outcome).length;
  return {
    'policy/loss': over((step) => step.policyLoss),
    'policy/entropy': mean(prepared.entropies),
    'policy/approx_kl': over((step) => step.approxKl),
    'policy/sequence_kl_max': measured.length > 0 ? Math.max(...measured.map((step) => step.sequenceKl)) : undefined,
    'policy/clip_fraction': over((step) => step.clipFraction),
    'policy/objective_clip_fraction': over((step) => step.objectiveClipFraction),
    'policy/ratio_deviation_first': steps[0]?.ratioDeviation,
    'value/loss': over((step) => step.valueLoss),
    'value/clip_fraction': over((step) => step.valueClipFraction),
    'value/mean': mean(prepared.values),
    'value/explained_variance': explainedVariance(prepared.values, returns),
    'gradient/policy_norm': over((step) => step.policyGradientNorm),
    'gradient/value_norm': over((step) => step.valueGradientNorm),
    'optimizer/learning_rate': rates.policy,
    'optimizer/steps': count('stepped'),
    'optimizer/skipped_steps': count('skipped'),
    'optimizer/early_stop': count('stopped'),
  };
}

function meanOf<Item>(items: Item[], value: (item: Item) => number): number {
  return mean(items.map(value));
}
