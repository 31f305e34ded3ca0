import type { BanditResult } from '@surefoot/report';
import { banditModes, simulateBandit, type Bandit, type SmallStepRisk } from '@surefoot/risk';
import { decimals, table } from './table';

/** How cases are simulated. */
export interface BanditOptions {
  kl: number;
  members: number;
  draws: number;
  seed: number;
}

/** A case with what small steps risk, in closed form. */
export interface SolvedBandit extends BanditResult {
  smallSteps: SmallStepRisk;
}

/** Draws that tell the largest KL to two digits. */
const reachDraws = 1000;

/** The largest KL that a mode has, and the one that no policy exceeds: all on the arm that the reference gives least. */
export function reachText(bandit: Bandit, options: Omit<BanditOptions, 'kl'>): string {
  const most = Math.log(1 / Math.min(...bandit.reference));
  const draws = Math.min(options.draws, reachDraws);
  let [low, high] = [0, most];
  for (let step = 0; step < 12; step++) {
    const kl = (low + high) / 2;
    if (simulateBandit(bandit, { ...options, draws, kl }).length > 0) low = kl;
    else high = kl;
  }
  return `the largest is about ${low.toPrecision(2)} (${most.toPrecision(3)} for any policy)`;
}

/** What the columns and lines mean, once for all cases. */
export const explanation = [
  'P(worse): how often the true value ends below that of the reference. "0, at most x": in no draw, and x is the upper end of its 95 % interval; "1, at least x" likewise.',
  'sure gain: of the fixed policy beside it, at 95 %, by what a single reward model with these errors can promise. It is a bound for that one policy, not a forecast, and can lie far below the simulated gains, most of all where a mode asks several reward models.',
  'small steps: one step by one reward model, too small for any probability to meet 0, whatever its KL; vanilla holds its length, variance-aware its length weighted by the variances.',
].join('\n');

/** Of none or of all draws the standard error is 0, and the interval is what they say. */
function worseText({ p, standardError, ci95: [low, high] }: SolvedBandit['simulated'][number]['worse']): string {
  if (p === 0) return `0, at most ${high.toPrecision(2)}`;
  if (p === 1) return `1, at least ${low.toFixed(4)}`;
  const decimals = Math.max(3, Math.ceil(-Math.log10(standardError)));
  return `${p.toFixed(decimals)} ± ${standardError.toFixed(decimals)}`;
}

/** What came of a case, for a terminal. */
export function describeBandit(
  { title, shows, bandit, smallSteps, simulated, policies }: SolvedBandit,
  { kl, ...options }: BanditOptions,
): string {
  const { free, plane } = smallSteps;
  const missing = banditModes.filter((mode) => !simulated.some((each) => each.mode === mode));
  const simulation = table(
    ['mode', 'beta', 'P(worse)', 'mean gain', 'sd of gain'],
    simulated.map(({ mode, beta, worse, gain }) => [
      mode,
      beta.toPrecision(3),
      worseText(worse),
      decimals(gain.mean, 3),
      gain.sd.toFixed(3),
    ]),
  );
  const fixedPolicies = table(
    ['mode', 'policy', 'sure gain'],
    policies.map(({ mode, policy, gainAtLeast }) => [
      mode,
      policy.map((p) => p.toFixed(2)).join(' '),
      decimals(gainAtLeast, 3),
    ]),
  );
  return [
    `${title}. ${shows}`,
    ...(simulated.length > 0
      ? [
          `simulated: in each of ${options.draws} draws a mode chooses a policy of its own by the reward models drawn, at a mean KL of ${kl}`,
          simulation,
          'one fixed policy: what a mode chooses at that beta where the reward models happen to be right',
          fixedPolicies,
        ]
      : []),
    ...(missing.length > 0
      ? [
          `no beta has a mean KL of ${kl} for ${missing.join(', ')}${simulated.length > 0 ? '' : `: ${reachText(bandit, options)}`}`,
        ]
      : []),
    `small steps, in closed form: P(worse) vanilla ${probability(plane.vanilla)}, variance-aware ${probability(plane.aware)}; were the probabilities free not to sum to 1, ${probability(free.vanilla)} and ${probability(free.aware)}`,
  ].join('\n');
}

const probability = (p: number) => (p > 0 && p < 0.001 ? p.toPrecision(2) : p.toFixed(3));
