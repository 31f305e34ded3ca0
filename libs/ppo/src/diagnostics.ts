import { maskedMean, maskedVariance } from '@surefoot/tensor';
import { klK3, logRatios, meanSequenceSum } from './kl';

/** How far the updated policy is from the one that produced the rollouts, over the tokens of a minibatch. */
export interface PolicyShift {
  /** Largest `|ratio - 1|`. */
  ratioDeviation: number;
  /** Mean over tokens of k3, nats. */
  approxKl: number;
  /** Mean over rollouts of the sum over tokens of k1, nats; may be negative. */
  sequenceKl: number;
  /** Fraction of tokens with `|ratio - 1| > clipRange`. */
  clipFraction: number;
  /** Fraction of tokens whose clipped branch is the loss, so that they have no gradient. */
  objectiveClipFraction: number;
}

/**
 * Distance of the updated policy from the rollout policy; formulas at the fields.
 *
 * @param options.rollouts how many rollouts the n tokens belong to
 */
export function policyShift(
  newLogprobs: ArrayLike<number>,
  options: { oldLogprobs: ArrayLike<number>; advantages: ArrayLike<number>; clipRange: number; rollouts: number },
): PolicyShift {
  const { oldLogprobs, advantages, clipRange, rollouts } = options;
  const kl = logRatios(oldLogprobs, newLogprobs);
  const ratios = kl.map((logRatio) => Math.exp(-logRatio));
  const isOutside = ratios.map((ratio) => Number(Math.abs(ratio - 1) > clipRange));
  const isClipped = ratios.map((ratio, t) => {
    const clipped = Math.min(Math.max(ratio, 1 - clipRange), 1 + clipRange);
    return Number(-advantages[t]! * clipped > -advantages[t]! * ratio);
  });
  return {
    ratioDeviation: ratios.reduce((worst, ratio) => Math.max(worst, Math.abs(ratio - 1)), 0),
    approxKl: mean(kl.map(klK3)),
    sequenceKl: meanSequenceSum(kl, rollouts),
    clipFraction: mean(isOutside),
    objectiveClipFraction: mean(isClipped),
  };
}

/** Fraction of tokens whose value moved by more than `valueClipRange` and whose clipped error is the loss; 0 = no clipping. */
export function valueClipFraction(
  newValues: ArrayLike<number>,
  options: { oldValues: ArrayLike<number>; returns: ArrayLike<number>; valueClipRange: number },
): number {
  const { oldValues, returns, valueClipRange } = options;
  if (valueClipRange === 0) return 0;
  const isClipped = Float64Array.from(newValues, (value, t) => {
    const old = oldValues[t]!;
    const clipped = old + Math.min(Math.max(value - old, -valueClipRange), valueClipRange);
    const isFurther = (clipped - returns[t]!) ** 2 > (value - returns[t]!) ** 2;
    return Number(Math.abs(value - old) > valueClipRange && isFurther);
  });
  return mean(isClipped);
}

/** `1 - var(R - v) / var(R)` over tokens: 1 = perfect, 0 = as good as their mean; undefined where all returns are equal. */
export function explainedVariance(values: ArrayLike<number>, returns: ArrayLike<number>): number | undefined {
  const all = everyToken(returns.length);
  const total = maskedVariance(returns, all);
  if (total === 0) return undefined;
  const errors = Float64Array.from(returns, (target, t) => target - values[t]!);
  return 1 - maskedVariance(errors, all) / total;
}

/** A mask of ones: responses stand here one after the other without padding, so that every entry counts. */
export function everyToken(n: number): Float64Array {
  return new Float64Array(n).fill(1);
}

/** Plain mean over all entries. */
export function mean(x: ArrayLike<number>): number {
  return maskedMean(x, everyToken(x.length));
}
