import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { resolvePpoConfig, type PpoMode } from '@surefoot/ppo';
import type { BackendName } from '@surefoot/tensor';
import type { z } from 'zod';
import { defineCommand } from '../command';
import { builtinTaskSchema, prepareBuiltinTask, type BuiltinTaskFiles } from '../experiment/builtin-task';
import type { ExperimentConfig } from '../experiment/config';
import { writeReport } from '../experiment/report';
import { runExperiment } from '../experiment/run-experiment';
import { runTable } from '../experiment/run-table';
import { Interrupted } from '../failure';
import { madeWith } from '../local/made-with';
import { defaultOutput } from '../local/output-folder';
import { withClaim } from '../local/pid-file';
import { backend, dataSeed, flagName, integer, option, text } from '../option';

/** What decides the results of a quickstart; noted in its folder. */
interface Choices {
  runs: number;
  dataSeed: number;
  members: number;
  iterations: number;
  baseSteps: number;
  judgePairs: number;
  referenceSamples: number;
  evaluationSamples: number;
  seed: number;
  backend: BackendName;
}

const defaults: Choices = {
  runs: 3,
  dataSeed: 11,
  members: 10,
  iterations: 60,
  baseSteps: 500,
  judgePairs: 3000,
  referenceSamples: 4096,
  evaluationSamples: 2048,
  seed: 1000,
  backend: 'auto',
};

/** An option whose default is what the folder was made with, and only in a new one the given value. */
function choice<Schema extends z.ZodType>(value: string, description: string, schema: Schema, otherwise: unknown) {
  return option(value, `${description} (default ${String(otherwise)})`, schema.optional());
}

export const quickstart = defineCommand({
  name: 'quickstart',
  summary: 'the whole loop from nothing: task, reward models, services, PPO runs, judge, report',
  example: 'quickstart --runs 3',
  options: {
    out: option(
      '<dir>',
      'folder; one that is there already is finished, with its own values; default a new one in ./surefoot-out',
      text.optional(),
    ),
    runs: choice('<n>', 'runs of each of the two methods', integer({ max: 100_000 }), defaults.runs),
    dataSeed: choice('<n>', 'seed of the preference pairs', dataSeed, defaults.dataSeed),
    members: choice('<n>', 'reward models; a variance needs two', integer({ min: 2, max: 1000 }), defaults.members),
    iterations: choice('<n>', 'PPO iterations of a run', integer({ max: 1e6 }), defaults.iterations),
    baseSteps: choice('<n>', 'training steps of the base model', integer({ max: 1e6 }), defaults.baseSteps),
    judgePairs: choice('<n>', 'preference pairs of the judge', integer({ max: 1e6 }), defaults.judgePairs),
    referenceSamples: choice(
      '<n>',
      'responses that put the scores on one scale',
      integer({ min: 2 }),
      defaults.referenceSamples,
    ),
    evaluationSamples: choice('<n>', 'responses of an evaluation', integer(), defaults.evaluationSamples),
    seed: choice('<n>', 'seed of everything random', integer({ min: 0 }), defaults.seed),
    backend: { ...backend, ...choice('<name>', backend.description, backend.schema.unwrap(), defaults.backend) },
    workers: option('<n>', 'trainer processes', integer({ max: 1024 }).default(availableParallelism())),
  },
  async run({ out = defaultOutput('quickstart'), workers, ...given }, context) {
    const folder = resolve(out);
    return withClaim(folder, async (claim) => {
      const choices = await madeWith(folder, given, { file: 'quickstart.json', defaults, shown: flagName });
      try {
        const { runs, dataSeed, members, baseSteps, judgePairs } = choices;
        context.terminal.note(`1/3 the built-in task, ${members} reward models and an independent judge`);
        const settings = builtinTaskSchema.parse({ dataSeeds: [dataSeed], members, baseSteps, judgePairs });
        const files = await prepareBuiltinTask(folder, settings, choices.backend, context);
        const config = quickstartExperiment(files, choices);
        context.terminal.note(`2/3 three services, ${runs} vanilla and ${runs} variance-aware PPO runs`);
        const options = { out: folder, workers, resume: true, claim, backend: choices.backend };
        await runExperiment(config, options, context);
      } catch (error) {
        throw error instanceof Interrupted
          ? new Interrupted(`interrupted: go on with surefoot quickstart --out ${out}`)
          : error;
      }
      context.terminal.note('3/3 report');
      const { report, html, verdict } = await writeReport([folder]);
      return {
        document: { folder: out, html, verdict, report },
        text: `${runTable(report)}\n\n${verdict}\nreport: ${html}`,
      };
    });
  },
});

function quickstartExperiment(files: BuiltinTaskFiles, choices: Choices): ExperimentConfig {
  const { runs, iterations, referenceSamples, evaluationSamples, seed: firstSeed } = choices;
  const method = (mode: PpoMode) => ({
    name: mode,
    // The headline experiment uses no clamp.
    ppo: resolvePpoConfig({
      mode,
      iterations,
      referenceSamples,
      evaluationSamples,
      weightClampMin: 0,
      weightClampMax: Infinity,
    }),
  });
  return {
    name: 'quickstart',
    usesBuiltinTask: true,
    ...files,
    blocks: files.blocks.map(({ name, ensemble }) => ({ name, ensemble: { folder: ensemble } })),
    judge: { folder: files.judge },
    methods: [method('vanilla'), method('variance-weighted-kl')],
    runs,
    seed: firstSeed,
    keepRollouts: false,
  };
}
