import { mean } from '../moments';

/** What the ensemble says of the arms. */
export interface Estimate {
  /** [n] the reward that is trusted: one member's, as in training. */
  reward: readonly number[];
  /** [n] */
  variances: readonly number[];
  /** [K][n] every member's reward. */
  members: readonly (readonly number[])[];
}

/** What some modes need besides beta, as `ppo` names it. */
interface ModeOptions {
  /** How much of the variance `uwo` takes off the mean. */
  uwoLambda: number;
  /** Of `soft-min`, in units of the reward. */
  softMinTemperature: number;
}

// Those of training, written again because reports must not load libs/ppo and its tensors; a test of services/cli compares the two.
const trainingDefaults: ModeOptions = { uwoLambda: 0.3, softMinTemperature: 1 };

/** A policy `pi0 exp((values - nu) / (beta weights) - shift)`, whose nu makes it sum to 1. */
interface Form {
  /** [n] */
  values: number[];
  /** [n] how much harder the KL penalty holds an arm; 1 for all where absent. */
  weights?: readonly number[];
  shift?: number;
}

/**
 * The policy that each mode leads to where a response is one token, so that every log-ratio is paid for by the arm that is
 * chosen. That of `variance-weighted-kl` is the fixed point of its update, the others are the optima of their objectives.
 */
const forms = {
  vanilla: ({ reward }) => ({ values: [...reward] }),
  'variance-weighted-kl': ({ reward, variances }) => ({ values: [...reward], weights: variances }),
  'variance-weighted-kl-exact': ({ reward, variances }) => ({ values: [...reward], weights: variances, shift: 1 }),
  'inverse-variance': ({ reward, variances }) => ({ values: reward.map((r, i) => r / variances[i]!) }),
  uwo: ({ variances, members }, { uwoLambda }) => ({
    values: variances.map((variance, i) => mean(members.map((member) => member[i]!)) - uwoLambda * variance),
  }),
  wco: ({ variances, members }) => ({ values: variances.map((_, i) => Math.min(...members.map((each) => each[i]!))) }),
  'soft-min': ({ variances, members }, { softMinTemperature: t }) => ({
    values: variances.map((_, i) =>
      softMin(
        members.map((member) => member[i]!),
        t,
      ),
    ),
  }),
} satisfies Record<string, (estimate: Estimate, options: ModeOptions) => Form>;

/** A mode of training, as `ppo.mode` names it. */
export type BanditMode = keyof typeof forms;

/** Every mode. */
export const banditModes = Object.keys(forms) as BanditMode[];

/**
 * A mode's policy by one estimate, for any beta.
 *
 * @param reference [n] probabilities
 * @param options default: those of training
 * @returns of beta > 0, the probabilities [n]
 */
export function banditPolicy(
  mode: BanditMode,
  reference: readonly number[],
  estimate: Estimate,
  options: ModeOptions = trainingDefaults,
): (beta: number) => number[] {
  const { values, weights, shift = 0 }: Form = forms[mode](estimate, options);
  const n = values.length;
  return (beta) => {
    const strengths = values.map((_, i) => beta * (weights?.[i] ?? 1));
    // Where every exponent is at least 0, the sum is at least 1. From there Newton's steps on its logarithm, which is convex and
    // falls, never go too far; where all weights are equal it is a line, and one step arrives.
    let nu = Math.min(...values.map((value, i) => value - shift * strengths[i]!));
    const policy = new Array<number>(n);
    for (;;) {
      let largest = -Infinity;
      for (let i = 0; i < n; i++) {
        policy[i] = (values[i]! - nu) / strengths[i]! - shift;
        if (policy[i]! > largest) largest = policy[i]!;
      }
      let [total, slope] = [0, 0];
      for (let i = 0; i < n; i++) {
        policy[i] = reference[i]! * Math.exp(policy[i]! - largest);
        total += policy[i]!;
        slope += policy[i]! / strengths[i]!;
      }
      const step = ((Math.log(total) + largest) * total) / slope;
      if (!(step > 1e-12 * (1 + Math.abs(nu)))) {
        // What is left of rounding goes to all arms alike.
        for (let i = 0; i < n; i++) policy[i]! /= total;
        return policy;
      }
      nu += step;
    }
  };
}

/** `-t ln((1/K) sum exp(-x_k / t))`, with the smallest taken out of the exponents. */
function softMin(values: readonly number[], t: number): number {
  const least = Math.min(...values);
  return least - t * Math.log(mean(values.map((value) => Math.exp((least - value) / t))));
}
