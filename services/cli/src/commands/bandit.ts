import { banditFigures, solveBandit, type BanditResult } from '@surefoot/report';
import { banditCases, banditModes, smallStepRisk, type BanditCase, type SmallStepRisk } from '@surefoot/risk';
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
    out: option('<dir>', 'folder for bandit.json and figures', text.optional()),
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
    const document = { kl, ...options, cases: results };
    const tables = results.map(describe).join('\n\n');
    if (!out) return { document, text: tables };
    const figures = await banditFigures(results);
    const beside = figures.map(({ name, svg }) => ({ name, text: svg }));
    const [path] = await writeFindings(out, 'bandit.json', document, beside);
    return { document, text: `${tables}\n\n${path} and ${figures.length} figures` };
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

/** Of none or of all draws the standard error is 0, and the interval is what they say. */
function worseText({ p, standardError, ci95: [low, high] }: Solved['simulated'][number]['worse']): string {
  if (p === 0) return `0, at most ${high.toPrecision(2)}`;
  if (p === 1) return `1, at least ${low.toFixed(4)}`;
  return `${p.toFixed(3)} ± ${standardError.toFixed(3)}`;
}

function describe({ title, shows, smallSteps, simulated, policies }: Solved): string {
  const rows = simulated.map(({ mode, beta, worse, gain }, i) => [
    mode,
    beta.toPrecision(3),
    worseText(worse),
    gain.mean.toFixed(3),
    gain.sd.toFixed(3),
    policies[i]!.policy.map((p) => p.toFixed(2)).join(' '),
    policies[i]!.gainAtLeast.toFixed(3),
  ]);
  const missing = banditModes.filter((mode) => !simulated.some((each) => each.mode === mode));
  const { free, plane } = smallSteps;
  return [
    `${title}. ${shows}`,
    table(['mode', 'beta', 'P(worse)', 'mean gain', 'sd', 'policy if the estimate were right', 'gains at least'], rows),
    'gains at least: what that policy is sure to gain with 95 % probability where one reward model gives the arms their values',
    ...missing.map((mode) => `${mode}: no beta was found at which it has this KL to the reference`),
    `small steps, in closed form: P(worse) vanilla ${plane.vanilla.toFixed(3)}, variance-aware ${plane.aware.toFixed(3)} (in any direction ${free.vanilla.toFixed(3)}, ${free.aware.toFixed(3)})`,
  ].join('\n');
}
