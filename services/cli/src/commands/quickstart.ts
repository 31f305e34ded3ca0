import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { makeFolder, readJson } from '@surefoot/files';
import { parseInitialisation, parseModelConfig } from '@surefoot/language-model';
import { resolvePpoConfig, type PpoMode } from '@surefoot/ppo';
import { readPairs } from '@surefoot/preference';
import type { BackendName } from '@surefoot/tensor';
import { defineCommand, type Context } from '../command';
import { compute } from '../compute/compute';
import type { ExperimentConfig } from '../experiment/config';
import { writeReport } from '../experiment/report';
import { runExperiment } from '../experiment/run-experiment';
import { runTable } from '../experiment/run-table';
import { Interrupted } from '../failure';
import { defaultOutput } from '../local/output-folder';
import { backend, integer, option, seed, text } from '../option';

export const quickstart = defineCommand({
  name: 'quickstart',
  summary: 'the whole loop from nothing: task, reward models, services, PPO runs, judge, report',
  example: 'quickstart --runs 3',
  options: {
    out: option(
      '<dir>',
      'folder; one that is there already is finished; default a new one in ./surefoot-out',
      text.optional(),
    ),
    runs: option('<n>', 'runs of each of the two methods', integer({ max: 100_000 }).default(3)),
    dataSeed: option('<n>', 'seed of the preference pairs', integer({ min: 0, max: 2 ** 40 - 1 }).default(11)),
    members: option('<n>', 'reward models', integer({ max: 1000 }).default(10)),
    iterations: option('<n>', 'PPO iterations of a run', integer({ max: 1e6 }).default(60)),
    baseSteps: option('<n>', 'training steps of the base model', integer({ max: 1e6 }).default(500)),
    judgePairs: option('<n>', 'preference pairs of the judge', integer({ max: 1e6 }).default(3000)),
    referenceSamples: option('<n>', 'responses that put the scores on one scale', integer({ min: 2 }).default(4096)),
    evaluationSamples: option('<n>', 'responses of an evaluation', integer().default(2048)),
    workers: option('<n>', 'trainer processes', integer({ max: 1024 }).default(availableParallelism())),
    seed: seed(1000),
    backend,
  },
  async run(options, context) {
    const { out = defaultOutput('quickstart'), workers, backend: name } = options;
    const folder = resolve(out);
    await makeFolder(folder);
    try {
      await prepare(folder, options, context);
      const config = quickstartExperiment(folder, options);
      context.terminal.note(`3/4 three services, ${options.runs} vanilla and ${options.runs} variance-aware PPO runs`);
      await runExperiment(config, { out: folder, workers, resume: true, backend: name }, context);
    } catch (error) {
      throw error instanceof Interrupted ? new Interrupted(`interrupted: go on with quickstart --out ${out}`) : error;
    }
    context.terminal.note('4/4 report');
    const { report, html, verdict } = await writeReport([folder]);
    return {
      document: { folder: out, html, verdict, report },
      text: `${runTable(report)}\n\n${verdict}\nreport: ${html}`,
    };
  },
});

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

/** Task, ensemble and judge, as far as the folder does not hold them. */
async function prepare(folder: string, choices: Choices, context: Context): Promise<void> {
  context.terminal.note(`1/4 the built-in task → ${join(folder, 'task')}`);
  await writeTask(folder, choices, context);
  context.terminal.note(`2/4 ${choices.members} reward models and an independent judge → ${join(folder, 'ensemble')}`);
  await fitModels(folder, choices, context);
}

async function writeTask(folder: string, choices: Choices, context: Context): Promise<void> {
  const { dataSeed, baseSteps, judgePairs, backend: name } = choices;
  const task = join(folder, 'task');
  if (existsSync(task)) return;
  const baseTraining = { sentences: 8000, steps: baseSteps, batchSize: 64 };
  const options = { folder: task, dataSeed, judgePairs, baseTraining };
  await compute('writeTask', { label: 'base model', backend: name, options }, context);
}

/** The ensemble and the judge, each in a thread of its own. */
async function fitModels(
  folder: string,
  { members, dataSeed, backend: name }: Choices,
  context: Context,
): Promise<void> {
  const task = (file: string) => join(folder, 'task', file);
  const fit = async (
    what: 'ensemble' | 'judge',
    from: { pairs: string; config: string; init?: string; members: number; seed: number },
  ) => {
    const out = join(folder, what);
    if (existsSync(join(out, 'ensemble.json'))) return;
    const options = {
      name: what,
      out,
      members: from.members,
      seed: from.seed,
      pairs: (await readPairs([task(from.pairs)])).pairs,
      config: parseModelConfig(await readJson(task(from.config)), task(from.config)),
      initialisation:
        from.init === undefined ? undefined : parseInitialisation(await readJson(task(from.init)), task(from.init)),
      tokenizerFolder: task('base'),
    };
    await compute('fit', { label: what, backend: name, options }, context);
  };
  // Both are waited for, so that no thread is left when one fails.
  const fits = await Promise.allSettled([
    fit('ensemble', {
      pairs: 'pairs.jsonl',
      config: 'member-config.json',
      init: 'member-init.json',
      members,
      seed: dataSeed,
    }),
    fit('judge', { pairs: 'judge-pairs.jsonl', config: 'judge-config.json', members: 1, seed: judgeSeed }),
  ]);
  const failure = fits.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/** The judge shares no seed with a member. */
const judgeSeed = 2 ** 40;

function quickstartExperiment(folder: string, choices: Choices): ExperimentConfig {
  const { runs, dataSeed, iterations, referenceSamples, evaluationSamples, seed: firstSeed } = choices;
  const task = (file: string) => join(folder, 'task', file);
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
    policy: task('base'),
    blocks: [{ name: `data-${dataSeed}`, ensemble: { folder: join(folder, 'ensemble') } }],
    judge: { folder: join(folder, 'judge') },
    gold: task('gold.json'),
    prompts: task('prompts.jsonl'),
    evalPrompts: task('eval-prompts.jsonl'),
    methods: [method('vanilla'), method('variance-weighted-kl')],
    runs,
    seed: firstSeed,
    keepRollouts: false,
  };
}
