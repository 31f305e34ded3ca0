import { banditFigures, solveBandit } from '@surefoot/report';
import { counted, banditCases, smallStepRisk, type BanditCase } from '@surefoot/risk';
import { describeBandit, explanation, reachText, type BanditOptions, type SolvedBandit } from '../bandit-text';
import { defineCommand } from '../command';
import { UsageError } from '../failure';
import { writeFindings } from '../findings';
import { integer, listOf, number, option, seed, text } from '../option';

const severalOf = (each: ReturnType<typeof number>) =>
  listOf(each).refine((list) => list.length >= 2, 'needs at least two numbers');
const numbers = severalOf(number());
const positiveNumbers = severalOf(number({ above: 0 }));
const sum = (list: number[]) => list.reduce((total, each) => total + each, 0);
const probabilities = positiveNumbers.refine((list) => Math.abs(sum(list) - 1) <= 1e-6, {
  error: ({ input }) => `must sum to 1, not ${Number(sum(input as number[]).toPrecision(6))}`,
});

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
    reference: option('<numbers>', 'probabilities of the reference policy; default equal', probabilities.optional()),
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
      throw new UsageError(
        `--kl ${kl}: no mode has this mean KL to the reference at any beta; ${results.map(({ title, bandit }) => `${title}: ${reachText(bandit, options)}`).join('; ')}`,
      );
    const document = { kl, ...options, cases: results };
    const tables = results.map((result) => describeBandit(result, { kl, ...options })).join('\n\n');
    if (!out) return { document, text: `${tables}\n\n${explanation}` };
    const { page, figures } = await banditFigures(reached, { kl, draws: options.draws });
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

function solve(each: BanditCase, options: BanditOptions): SolvedBandit {
  return { ...solveBandit(each, options), smallSteps: smallStepRisk(each.bandit) };
}
