import { banditFigures, solveBandit, type BanditResult } from '@surefoot/report';
import { DomainError } from '@surefoot/errors';
import {
  banditCases,
  banditModes,
  simulateBandit,
  smallStepRisk,
  type Bandit,
  type BanditCase,
  type SmallStepRisk,
} from '@surefoot/risk';
import { defineCommand } from '../command';
import { counted } from '../counted';
import { UsageError } from '../failure';
import { writeFindings } from '../findings';
import { integer, listOf, number, option, seed, text } from '../option';
import { table } from '../table';

const severalOf = (each: ReturnType<typeof number>) =>
  listOf(each).refine((list) => list.length >= 2, 'needs at least two numbers');
const numbers = severalOf(number());
const positiveNumbers = severalOf(number({ above: 0 }));

export const bandit = defineCommand({
  name: 'bandit',
  summary:
    'three responses and noisy rewards: what every mode chooses, gains and risks; where caution helps and where it harms',
  example: 'bandit --means 0.5,0,-0.5 --sds 0.2,0.3,1.4 --kl 0.2 --out bandit',
  options: {
    means: option(
      '<numbers>',
      'true value of each arm; default four cases, for caution and against it',
      numbers.optional(),
    ),
    sds: option('<numbers>', "standard deviation of a reward model's error on each arm", positiveNumbers.optional()),
    reference: option('<numbers>', 'probabilities of the reference policy; default equal', positiveNumbers.optional()),
    kl: option('<nats>', 'mean KL to the reference at which modes are compared', number({ above: 0 }).default(0.2)),
    members: option('<k>', 'reward models of the ensemble, which uwo, wco and soft-min ask', integer().default(10)),
    draws: option('<n>', 'ensembles that are drawn', integer({ min: 100, max: 1_000_000 }).default(20_000)),
    seed: seed(1),
    out: option('<dir>', 'folder for bandit.json, bandit.html and figures', text.optional()),
  },
  async run({ means, sds, reference, kl, out, ...options }, { terminal }) {
    const cases = means || sds || reference ? [ownCase({ means, sds, reference })] : banditCases;
    const progress = terminal.progress('bandit', cases.length, 'cases');
    const results = cases.map((each) => {
      const result = solve(each, { kl, ...options });
      progress.advance(1);
      return result;
    });
    progress.finish();
    const reached = results.filter(({ simulated }) => simulated.length > 0);
    if (reached.length === 0)
      throw new DomainError(
        'invalid_argument',
        `--kl ${kl}: no mode has this mean KL to the reference at any beta; ${results.map(({ title, bandit }) => `${title}: ${reachText(bandit, options)}`).join('; ')}`,
      );
    const document = { kl, ...options, cases: results };
    const tables = results.map((result) => describe(result, { kl, ...options })).join('\n\n');
    if (!out) return { document, text: `${tables}\n\n${explanation}` };
    const { page, figures } = await banditFigures(reached, { kl });
    const beside = [{ name: 'bandit.html', text: page }, ...figures.map(({ name, svg }) => ({ name, text: svg }))];
    const [path, html] = await writeFindings(out, 'bandit.json', document, beside);
    return { document, text: `${tables}\n\n${explanation}\n\n${path}, ${html} and ${figures.length} figures` };
  },
});

function ownCase({ means, sds, reference }: { means?: number[]; sds?: number[]; reference?: number[] }): BanditCase {
  if (!means || !sds) throw new UsageError('arms of your own need both --means and --sds');
  for (const [flag, list] of Object.entries({ '--sds': sds, '--reference': reference }))
    if (list && list.length !== means.length)
      throw new UsageError(
        `${flag} has ${counted(list.length, 'number')}, and --means ${means.length}: one for each arm`,
      );
  return {
    name: 'own',
    title: 'Your arms',
    shows: 'Compare the modes at equal KL.',
    bandit: {
      means,
      variances: sds.map((sd) => sd ** 2),
      reference: reference ?? means.map(() => 1 / means.length),
    },
  };
}

interface Solved extends BanditResult {
  smallSteps: SmallStepRisk;
}

function solve(each: BanditCase, options: { kl: number; members: number; draws: number; seed: number }): Solved {
  return { ...solveBandit(each, options), smallSteps: smallStepRisk(each.bandit) };
}

/** Draws that tell the largest KL to two digits. */
const reachDraws = 1000;

/** The largest KL that a mode has, and the one that no policy exceeds: all on the arm that the reference gives least. */
function reachText(bandit: Bandit, options: { members: number; draws: number; seed: number }): string {
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
const explanation = [
  'P(worse): how often the true value ends below that of the reference. "0, at most x": in no draw, and x is the upper end of its 95 % interval; "1, at least x" likewise.',
  'sure gain: of the fixed policy beside it, at 95 %, by what a single reward model with these errors can promise. It is a bound for that one policy, not a forecast, and can lie far below the simulated gains, most of all where a mode asks several reward models.',
  'small steps: one step by one reward model, too small for any probability to meet 0, whatever its KL; vanilla holds its length, variance-aware its length weighted by the variances.',
].join('\n');

/** Of none or of all draws the standard error is 0, and the interval is what they say. */
function worseText({ p, standardError, ci95: [low, high] }: Solved['simulated'][number]['worse']): string {
  if (p === 0) return `0, at most ${high.toPrecision(2)}`;
  if (p === 1) return `1, at least ${low.toFixed(4)}`;
  const decimals = Math.max(3, Math.ceil(-Math.log10(standardError)));
  return `${p.toFixed(decimals)} ± ${standardError.toFixed(decimals)}`;
}

function describe(
  { title, shows, bandit, smallSteps, simulated, policies }: Solved,
  { kl, ...options }: { kl: number; members: number; draws: number; seed: number },
): string {
  const { free, plane } = smallSteps;
  const missing = banditModes.filter((mode) => !simulated.some((each) => each.mode === mode));
  const simulation = table(
    ['mode', 'beta', 'P(worse)', 'mean gain', 'sd of gain'],
    simulated.map(({ mode, beta, worse, gain }) => [
      mode,
      beta.toPrecision(3),
      worseText(worse),
      gain.mean.toFixed(3),
      gain.sd.toFixed(3),
    ]),
  );
  const fixedPolicies = table(
    ['mode', 'policy', 'sure gain'],
    policies.map(({ mode, policy, gainAtLeast }) => [
      mode,
      policy.map((p) => p.toFixed(2)).join(' '),
      gainAtLeast.toFixed(3),
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
