import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import { addGradients, modelGradients, tokenLogProbabilities, trainableParameters } from '@surefoot/language-model';
import { clipByGlobalNorm, valueAndGradients } from '@surefoot/tensor';
import { policyShift, valueClipFraction, type PolicyShift } from './diagnostics';
import type { Learner } from './learner';
import type { LearningRates } from './learning-rates';
import { policyLoss, valueLoss } from './loss';
import { type MicroBatch, type Minibatch, type PreparedBatch } from './rollout';
import { values } from './value-network';

/** Before anything has moved, the ratio is 1 and the KL to the rollout policy 0; more than rounding is a bug. */
const firstMinibatchTolerance = 1e-5;
/** Steps skipped in a row for a loss or gradient that was not finite, at which a run has diverged. */
const mostSkippedInARow = 3;

/** One minibatch, as measured before its optimizer step. */
export interface StepReport extends PolicyShift {
  /** Less `entropyCoefficient` times the entropy. */
  policyLoss: number;
  /** Before `valueCoefficient`. */
  valueLoss: number;
  valueClipFraction: number;
  /** Global norms before clipping. */
  policyGradientNorm: number;
  valueGradientNorm: number;
  /** `skipped`: loss or gradient were not finite; `stopped`: the policy had moved by more than `earlyStopKl`. */
  outcome: 'stepped' | 'skipped' | 'stopped';
}

/** What the update of one batch aims at, [n] each. */
export interface UpdateTargets {
  /** Whitened. */
  advantages: Float64Array;
  /** From unwhitened advantages. */
  returns: Float64Array;
}

/** One minibatch's slice of what was measured and aimed at, [m] each. */
type StepInputs = Record<'oldLogprobs' | 'oldValues' | 'advantages' | 'returns', Float32Array>;

/**
 * One optimizer step of policy and value network on one minibatch, or none where it must not be taken.
 *
 * The two gradients are clipped by their own global norms: under one common norm the value network's, large while returns are
 * badly predicted, would shrink the policy's step, by an amount that depends on the scale of rewards and so on the mode.
 *
 * @throws DomainError diverged as `ppoUpdate`
 *
 * Tensors: the learner's variables change in place, nothing is kept; the results are read once a micro-batch.
 */
export async function optimizerStep(
  learner: Learner,
  minibatch: Minibatch,
  options: { prepared: PreparedBatch; targets: UpdateTargets; rates: LearningRates; isFirst: boolean },
): Promise<StepReport> {
  const { prepared, targets, rates, isFirst } = options;
  const { config, policyOptimizer, valueOptimizer } = learner;
  const inputs = slice(prepared, targets, minibatch);
  const { policy, value, measured } = await losses(learner, minibatch, inputs);
  try {
    const shift = policyShift(measured.logprobs, {
      ...inputs,
      clipRange: config.clipRange,
      rollouts: minibatch.rollouts,
    });
    if (isFirst) checkFirstMinibatch(shift);
    // The KL is among them because a maximum may pass over the NaN of a log-probability.
    const numbers = [shift.sequenceKl, measured.policyLoss, measured.valueLoss, policy.norm, value.norm];
    const isFinite = numbers.every(Number.isFinite);
    const isTooFar = config.earlyStopKl > 0 && shift.sequenceKl > config.earlyStopKl;
    const outcome = isTooFar ? 'stopped' : isFinite ? 'stepped' : 'skipped';
    if (outcome === 'stepped') {
      policyOptimizer.step(policy.gradients, rates.policy);
      valueOptimizer.step(value.gradients, rates.value);
      learner.skippedInARow = 0;
    }
    const report: StepReport = {
      ...shift,
      policyLoss: measured.policyLoss,
      valueLoss: measured.valueLoss,
      valueClipFraction: valueClipFraction(measured.values, { ...inputs, valueClipRange: config.valueClipRange }),
      policyGradientNorm: policy.norm,
      valueGradientNorm: value.norm,
      outcome,
    };
    if (outcome === 'skipped') countSkipped(learner, report);
    return report;
  } finally {
    tf.dispose([policy.gradients, value.gradients]);
  }
}

/** Losses and clipped gradients of a minibatch, summed over its micro-batches. */
export async function losses(learner: Learner, { parts, from, to }: Minibatch, inputs: StepInputs) {
  const { config, policy: policyNetwork } = learner;
  const policyCount = trainableParameters(policyNetwork).size;
  const measured = {
    policyLoss: 0,
    valueLoss: 0,
    logprobs: new Float32Array(to - from),
    values: new Float32Array(to - from),
  };
  let gradients: tf.Tensor[] | undefined;
  let report: tf.Tensor1D | undefined;
  try {
    for (const part of parts) {
      const m = part.to - part.from;
      const share = m / (to - from);
      const within = [part.from - from, part.to - from] as const;
      const step = partLosses(learner, part, piecesOf(inputs, ...within), share);
      report = step.report;
      // In one list, so that none is left where adding fails.
      gradients = addGradients(gradients, step.gradients);
      const data = (await report.data()) as Float32Array;
      report.dispose();
      measured.policyLoss += data[0]!;
      measured.valueLoss += data[1]!;
      measured.logprobs.set(data.subarray(2, 2 + m), within[0]);
      measured.values.set(data.subarray(2 + m), within[0]);
    }
    const [policy, value] = await Promise.all([
      clipByGlobalNorm(gradients!.slice(0, policyCount), config.maxGradNorm),
      clipByGlobalNorm(gradients!.slice(policyCount), config.maxGradNorm),
    ]);
    return { policy, value, measured };
  } catch (error) {
    tf.dispose([report, gradients]);
    throw error;
  }
}

/**
 * One micro-batch's part of the losses, which are means over the minibatch, and its gradients.
 *
 * @param share its tokens over the minibatch's
 * @returns `report`: policy loss, value loss, [m] log-probabilities, [m] values; `gradients`: those of the policy, then
 *   those of the value network; the caller disposes all
 */
function partLosses(learner: Learner, part: MicroBatch, inputs: StepInputs, share: number) {
  const { policy, valueNetwork, config } = learner;
  const scaled = (mean: tf.Scalar) => (share === 1 ? mean : mean.mul<tf.Scalar>(share));
  // Kept beyond each loss: the value network reads the policy's features as constants, and the rest is read at the end.
  const kept: tf.Tensor[] = [];
  const keep = <Kept extends tf.Tensor>(tensor: Kept): Kept => {
    kept.push(tf.keep(tensor));
    return tensor;
  };
  const gradients: tf.Tensor[] = [];
  let features!: tf.Tensor2D;
  let logprobs!: tf.Tensor1D;
  let newValues!: tf.Tensor1D;
  let loss!: tf.Scalar;
  try {
    const { temperature, entropyCoefficient } = config;
    const withEntropy = entropyCoefficient !== 0;
    const policyLossOf = (hidden: tf.Tensor2D) => {
      features = keep(hidden);
      const tokens = tokenLogProbabilities(policy, hidden, part.targets, { temperature, withEntropy });
      logprobs = keep(tokens.logProbability);
      const loss = policyLoss(logprobs, {
        oldLogprobs: tf.tensor1d(inputs.oldLogprobs),
        advantages: tf.tensor1d(inputs.advantages),
        clipRange: config.clipRange,
      });
      return scaled(tokens.entropy ? loss.sub(tokens.entropy.mean().mul(entropyCoefficient)) : loss);
    };
    const policyStep = modelGradients(policy, part.batch, part.rows, policyLossOf, { withEntropy });
    gradients.push(...policyStep.gradients);
    kept.push(policyStep.value);
    const valueStep = valueAndGradients(() => {
      newValues = keep(values(valueNetwork, features));
      const mean = valueLoss(newValues, {
        oldValues: tf.tensor1d(inputs.oldValues),
        returns: tf.tensor1d(inputs.returns),
        valueClipRange: config.valueClipRange,
      });
      loss = keep(scaled(mean));
      return loss.mul(config.valueCoefficient);
    }, [...valueNetwork.parameters.values()]);
    gradients.push(...valueStep.gradients);
    kept.push(valueStep.value);
    const report = tf.tidy(() => tf.concat([policyStep.value.as1D(), loss.as1D(), logprobs, newValues]));
    return { gradients, report };
  } catch (error) {
    tf.dispose(gradients);
    throw error;
  } finally {
    tf.dispose(kept);
  }
}

function piecesOf(inputs: StepInputs, from: number, to: number): StepInputs {
  const { oldLogprobs, oldValues, advantages, returns } = inputs;
  const piece = (whole: Float32Array) => whole.subarray(from, to);
  return {
    oldLogprobs: piece(oldLogprobs),
    oldValues: piece(oldValues),
    advantages: piece(advantages),
    returns: piece(returns),
  };
}

function slice(prepared: PreparedBatch, targets: UpdateTargets, { from, to }: Minibatch): StepInputs {
  return {
    oldLogprobs: prepared.oldLogprobs.subarray(from, to),
    oldValues: prepared.values.subarray(from, to),
    advantages: Float32Array.from(targets.advantages.subarray(from, to)),
    returns: Float32Array.from(targets.returns.subarray(from, to)),
  };
}

function checkFirstMinibatch({ ratioDeviation, sequenceKl }: PolicyShift): void {
  if (ratioDeviation <= firstMinibatchTolerance && Math.abs(sequenceKl) <= firstMinibatchTolerance) return;
  throw new DomainError(
    'diverged',
    `the first minibatch starts away from the policy that was measured: |ratio - 1| is up to ${ratioDeviation}, KL ${sequenceKl} nats, ` +
      `both must be within ${firstMinibatchTolerance}; the weights have changed since prepareRollouts, or the two forward passes differ`,
  );
}

function countSkipped(learner: Learner, { policyLoss, valueLoss, policyGradientNorm, valueGradientNorm }: StepReport) {
  learner.skippedInARow += 1;
  if (learner.skippedInARow < mostSkippedInARow) return;
  throw new DomainError(
    'diverged',
    `${mostSkippedInARow} optimizer steps in a row had a loss or gradient that is not finite: policy loss ${policyLoss}, gradient norm ` +
      `${policyGradientNorm}; value loss ${valueLoss}, gradient norm ${valueGradientNorm}; lower learningRate, or bound the rewards by rewardClip`,
  );
}
