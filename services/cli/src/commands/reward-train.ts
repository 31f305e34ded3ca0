import { readJson } from '@surefoot/files';
import { parseInitialisation, parseModelConfig } from '@surefoot/language-model';
import type { FitOptions, FitReport } from '@surefoot/reward';
import { counted } from '@surefoot/risk';
import { defineCommand, type Context } from '../command';
import { computeFit } from '../compute/fit';
import { ensembleName } from '../ensemble-name';
import { UsageError } from '../failure';
import { kindOfFit, kindOptions } from '../kind-options';
import { withClaim } from '../local/pid-file';
import { weights } from '../model-options';
import { backend, flag, integer, number, option, seed, text } from '../option';
import { pairOptions, readPairFiles } from '../pair-files';
import { firstPlaces, skippedPairs } from '../skipped-pairs';

export const rewardTrain = defineCommand({
  name: 'reward train',
  summary: 'fits reward models that differ in nothing but their seed; one member makes a judge',
  example:
    'reward train --like task/member-config.json --tokenizer task/base --init task/member-init.json --pairs task/pairs.jsonl --members 10 --out ensemble',
  options: {
    base: option('<dir>', 'model folder that every member starts from', text.optional()),
    like: option('<file>', 'config.json of members from scratch', text.optional()),
    tokenizer: option('<dir>', 'with --like: folder of the tokenizer', text.optional()),
    init: option('<file>', 'JSON of standard deviations of new weights', text.optional()),
    ...pairOptions,
    members: option('<n>', 'number of reward models', integer({ max: 1000 }).default(10)),
    ...kindOptions,
    out: option('<dir>', 'ensemble folder; members that it holds are kept, those that are missing added', text),
    name: option('<name>', 'of the ensemble; default the folder’s', text.optional()),
    epochs: option('<n>', 'passes over the pairs', integer().default(6)),
    batchSize: option('<n>', 'pairs of a step', integer().default(32)),
    learningRate: option('<x>', 'peak of AdamW', number({ above: 0 }).default(1e-3)),
    warmupSteps: option('<n>', 'steps of linear rise', integer({ min: 0 }).default(10)),
    finalFraction: option('<x>', 'last learning rate over the peak', number({ min: 0, max: 1 }).default(0.1)),
    weightDecay: option('<x>', 'decoupled', number({ min: 0 }).default(0.01)),
    centring: option('<x>', 'weight of (chosen + rejected)^2', number({ min: 0 }).default(0.01)),
    bootstrap: option('', 'fit each member on a draw with replacement', flag),
    seed: seed(0),
    weights,
    backend,
  },
  async run(options, context) {
    const { base, like, tokenizer, init, backend: name, ...training } = options;
    if ((base === undefined) === (like === undefined) || (like === undefined) !== (tokenizer === undefined))
      throw new UsageError('give either --base, or --like together with --tokenizer');
    const kind = kindOfFit(options);
    const { pairs, evalPairs, places, data } = await readPairFiles(options, context.terminal);
    const fit = {
      ...training,
      ...kind,
      name: training.name ?? ensembleName(training.out),
      pairs,
      evalPairs,
      firstPlaces: firstPlaces(places),
      base,
      config: like === undefined ? undefined : parseModelConfig(await readJson(like), like),
      tokenizerFolder: tokenizer,
      initialisation: init === undefined ? undefined : parseInitialisation(await readJson(init), init),
    };
    const job = { label: `fit ${options.out}`, backend: name, options: fit };
    const report = await withClaim(options.out, () => computeFit(job, context));
    skippedPairs(report.skipped, places).forEach(context.terminal.note);
    if (report.calibrationLost)
      context.terminal.note('members were added: what surefoot reward calibrate had set is gone, call it again');
    noteAgreement(report, options.kind, context);
    return { document: { folder: options.out, data, ...report }, text: summary(options.out, report) };
  },
});

/** From this correlation between members on there is too little left of their variance to mean anything. */
const nearlyOne = 0.98;

type Kind = NonNullable<FitOptions['kind']>;

const remedies: Record<Kind, string> = {
  heads:
    'fit each on a draw of its own (--bootstrap); on a tuned trunk start them wide and hold them there, for example by ' +
    '--init with {"head": 0.5} and --head-pull 0.3 (less of either where accuracy on --eval-pairs falls); or fit --kind adapters',
  adapters: 'fit each on a draw of its own (--bootstrap), or for fewer --epochs',
  full: 'fit each on a draw of its own (--bootstrap), for fewer --epochs, or from wider weights (--init)',
};

function noteAgreement({ memberCorrelation }: FitReport, kind: Kind, { terminal }: Context): void {
  if (memberCorrelation !== null && memberCorrelation > nearlyOne)
    terminal.note(`members agree to ${memberCorrelation.toFixed(4)}: their variance says nothing; ${remedies[kind]}`);
}

function summary(out: string, { members, heldOutMean, longerWins }: FitReport): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const lines = members.map(({ training, heldOut }, k) => {
    const fitted = `training accuracy ${percent(training.accuracy)}`;
    if (!heldOut) return `member ${k}: ${fitted}`;
    const [low, high] = heldOut.accuracyCi95;
    const held = `held-out accuracy ${percent(heldOut.accuracy)} [${percent(low)}, ${percent(high)}]`;
    return `member ${k}: ${held}, log-loss ${heldOut.logLoss.toFixed(3)}, ECE ${heldOut.ece.toFixed(3)}; ${fitted}`;
  });
  if (heldOutMean) lines.push(`mean of the members: held-out accuracy ${percent(heldOutMean.accuracy)}`);
  if (longerWins) lines.push(`for comparison, the longer answer wins: ${percent(longerWins.accuracy)}`);
  return [`${out}: ${counted(members.length, 'member')}`, ...lines].join('\n');
}
