import { DomainError } from '@surefoot/errors';
import { seededIntegers } from '../bootstrap';
import { proportionInterval, type Interval } from '../intervals';
import { mean, quantile, standardDeviation } from '../moments';
import { type Bandit, checkBandit, dot, klOf } from './bandit';
import { type BanditMode, banditModes, banditPolicy, type Estimate } from './policies';

/** What came of one mode over all draws of the members. */
export interface SimulatedMode {
  mode: BanditMode;
  /** The strength at which the mean KL is the one asked for. */
  beta: number;
  /** Mean KL to the reference over the draws, nats. */
  kl: number;
  /** Share of draws that end below the reference, its standard error, and its Clopper–Pearson interval. */
  worse: { p: number; standardError: number; ci95: Interval };
  /** True value of the policy less that of the reference, over the draws. */
  gain: { mean: number; sd: number; quantiles: { level: number; value: number }[] };
}

/** How a bandit is simulated. */
export interface SimulationOptions {
  /** Mean KL of every mode to the reference, nats. */
  kl: number;
  /** Draws of the ensemble; default 20,000. */
  draws?: number;
  /** Members of it, each with an error of its own; `wco`, `soft-min` and `uwo` use all, the others the first. Default 10. */
  members?: number;
  /** Default 1. */
  seed?: number;
  /** Default all. */
  modes?: readonly BanditMode[];
}

const levels = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
/** A gain smaller than this, of the largest value of an arm, is rounding: arms of equal value gain nothing and lose nothing. */
const rounding = 1e-12;
const betaBounds = [1e-8, 1e8] as const;
/** Numbers that all draws together may hold. */
const mostNumbers = 5e7;

/**
 * Draws ensembles, lets every mode choose its policy by them, and values it by the true means; the beta of each mode is the one at
 * which its mean KL over the draws is `kl`. A mode that has this KL at no beta of 1e-8 to 1e8 is left out: one larger than any
 * policy's, or a smaller one than `variance-weighted-kl-exact` has, which keeps away from uncertain arms however strong beta is.
 *
 * @throws DomainError invalid_argument as `checkBandit`; resource_exhausted where `draws · members · arms` is beyond 5e7
 */
export function simulateBandit(bandit: Bandit, options: SimulationOptions): SimulatedMode[] {
  checkBandit(bandit);
  const { kl, draws = 20_000, members = 10, seed = 1, modes = banditModes } = options;
  const { reference, means } = bandit;
  if (draws * members * means.length > mostNumbers)
    throw new DomainError(
      'resource_exhausted',
      `${draws} draws of ${members} members on ${means.length} arms are too many to hold: at most ${mostNumbers} numbers`,
    );
  const estimates = drawEstimates(bandit, { draws, members, seed });
  const start = dot(reference, means);
  const least = rounding * Math.max(...means.map(Math.abs));
  return modes.flatMap((mode) => {
    const policyOf = estimates.map((estimate) => banditPolicy(mode, reference, estimate));
    const policiesAt = (beta: number) => policyOf.map((policy) => policy(beta));
    const meanKl = (policies: number[][]) => mean(policies.map((policy) => klOf(policy, reference)));
    const beta = whereFalling((candidate) => meanKl(policiesAt(candidate)), kl, betaBounds);
    if (beta === undefined) return [];
    const policies = policiesAt(beta);
    const gains = policies
      .map((policy) => dot(policy, means) - start)
      .map((gain) => (Math.abs(gain) > least ? gain : 0));
    const count = gains.filter((gain) => gain < 0).length;
    const p = count / draws;
    return [
      {
        mode,
        beta,
        kl: meanKl(policies),
        worse: { p, standardError: Math.sqrt((p * (1 - p)) / draws), ci95: proportionInterval(count, draws) },
        gain: {
          mean: mean(gains),
          sd: standardDeviation(gains),
          quantiles: levels.map((level) => ({ level, value: quantile(gains, level) })),
        },
      },
    ];
  });
}

function drawEstimates(
  { means, variances }: Bandit,
  { draws, members, seed }: { draws: number; members: number; seed: number },
): Estimate[] {
  const integer = seededIntegers(seed);
  const uniform = () => (integer(2 ** 31) + 0.5) / 2 ** 31;
  // Box and Muller 1958.
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Array.from({ length: draws }, () => {
    const scores = Array.from({ length: members }, () =>
      means.map((value, i) => value + Math.sqrt(variances[i]!) * normal()),
    );
    return { reward: scores[0]!, variances, members: scores };
  });
}

/**
 * The x at which a positive falling function reaches `target` to six digits; undefined where it does not.
 *
 * By false position on logarithms, of both; an end that stays twice counts half (Dowell and Jarratt 1971).
 */
function whereFalling(falling: (x: number) => number, target: number, [from, to]: readonly [number, number]) {
  const excess = (logX: number) => Math.log(falling(Math.exp(logX)) / target);
  let [low, high] = [Math.log(from), Math.log(to)];
  let [above, below] = [excess(low), excess(high)];
  if (above < 0 || below > 0) return undefined;
  for (let last = 0; ;) {
    const x = Number.isFinite(below) ? (low * below - high * above) / (below - above) : (low + high) / 2;
    const found = excess(x);
    if (Math.abs(found) < 1e-6 || high - low < 1e-9) return Math.exp(x);
    if (found > 0) {
      [low, above] = [x, found];
      if (last === 1) below /= 2;
      last = 1;
    } else {
      [high, below] = [x, found];
      if (last === -1) above /= 2;
      last = -1;
    }
  }
}
