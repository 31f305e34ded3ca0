import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson } from '@surefoot/files';
import { parseInitialisation, parseModelConfig } from '@surefoot/language-model';
import { readPairs } from '@surefoot/preference';
import { judgeSeed } from '@surefoot/reward';
import type { BackendName } from '@surefoot/tensor';
import { z } from 'zod';
import type { Context } from '../command';
import { compute } from '../compute/compute';
import { computeFit } from '../compute/fit';
import { machine } from '../compute/machine';
import { keptTo, madeWith } from '../local/made-with';
import { allDiffering } from '../option';

/** The built-in task with one ensemble for each data seed, as an experiment's file asks for it. */
export const builtinTaskSchema = z.strictObject({
  /** Of the preference pairs; each is a block. */
  dataSeeds: allDiffering(
    z
      .array(
        z
          .int()
          .min(0)
          .max(judgeSeed - 1),
      )
      .min(1),
  ),
  coverage: z.enum(['uneven', 'even']).default('uneven'),
  pairs: z.int().min(1).max(1e6).default(300),
  members: z.int().min(1).max(1000).default(10),
  /** Training steps of the base model. */
  baseSteps: z.int().min(1).max(1e6).default(500),
  judgePairs: z.int().min(1).max(1e6).default(3000),
});
export type BuiltinTaskSettings = z.output<typeof builtinTaskSchema>;

/** What of an experiment's file the built-in task stands for; paths are in the experiment's folder. */
export interface BuiltinTaskFiles {
  policy: string;
  blocks: { name: string; ensemble: string }[];
  judge: string;
  gold: string;
  prompts: string;
  evalPrompts: string;
}

/** Where the parts of the task are in `folder`. */
export function builtinTaskFiles(
  folder: string,
  { dataSeeds }: Pick<BuiltinTaskSettings, 'dataSeeds'>,
): BuiltinTaskFiles {
  const task = (file: string) => join(folder, 'task', file);
  return {
    policy: task('base'),
    blocks: dataSeeds.map((seed) => ({ name: `data-${seed}`, ensemble: ensembleFolder(folder, seed, dataSeeds) })),
    judge: join(folder, 'judge'),
    gold: task('gold.json'),
    prompts: task('prompts.jsonl'),
    evalPrompts: task('eval-prompts.jsonl'),
  };
}

function ensembleFolder(folder: string, seed: number, dataSeeds: readonly number[]): string {
  return join(folder, dataSeeds.length === 1 ? 'ensemble' : `ensemble-${seed}`);
}

function pairsFile(folder: string, seed: number, [first]: readonly number[]): string {
  return seed === first ? join(folder, 'task', 'pairs.jsonl') : join(folder, `pairs-${seed}.jsonl`);
}

/** The file of pairs that an ensemble of the built-in task was fitted to; undefined for any other ensemble. */
export async function builtinPairsOf(ensemble: string): Promise<string | undefined> {
  const folder = dirname(ensemble);
  const settings = join(folder, settingsName);
  if (!existsSync(settings)) return undefined;
  const { dataSeeds } = (await readJson(settings)) as BuiltinTaskSettings;
  const seed = dataSeeds.find((each) => ensembleFolder(folder, each, dataSeeds) === ensemble);
  const pairs = seed === undefined ? undefined : pairsFile(folder, seed, dataSeeds);
  return pairs !== undefined && existsSync(pairs) ? pairs : undefined;
}

const settingsName = 'builtin-task.json';

/**
 * Writes the task and fits judge and ensembles, as far as the folder does not hold them.
 *
 * @throws DomainError failed_precondition where the folder holds a task of other settings; Interrupted: what is there is kept
 */
export async function prepareBuiltinTask(
  folder: string,
  settings: BuiltinTaskSettings,
  backend: BackendName,
  context: Context,
): Promise<BuiltinTaskFiles> {
  await madeWith(folder, settings, { file: settingsName, defaults: settings });
  const { dataSeeds, coverage, pairs, members, baseSteps, judgePairs } = settings;
  const [first, ...others] = dataSeeds as [number, ...number[]];
  const { terminal } = context;
  const task = join(folder, 'task');
  terminal.note(`the built-in task → ${task}`);
  if (!existsSync(task)) {
    const baseTraining = { sentences: 8000, steps: baseSteps, batchSize: 64 };
    const options = { folder: task, dataSeed: first, coverage, pairs, judgePairs, baseTraining };
    await compute('writeTask', { label: 'base model', backend, options }, context);
  }
  const pairsOf = (seed: number) => pairsFile(folder, seed, dataSeeds);
  for (const dataSeed of others)
    if (!existsSync(pairsOf(dataSeed))) {
      const options = { folder: task, path: pairsOf(dataSeed), dataSeed, coverage, pairs };
      await compute('writePairs', { label: `pairs of data seed ${dataSeed}`, backend, options }, context);
    }
  terminal.note(
    `${members} reward models for each of ${dataSeeds.length} data seeds, and an independent judge → ${folder}`,
  );
  const ensemble = (seed: number, atOnce?: number) => {
    const out = ensembleFolder(folder, seed, dataSeeds);
    const like = { pairs: pairsOf(seed), config: 'member-config.json', init: 'member-init.json' };
    return fit(out, { ...like, task, members, seed, atOnce }, backend, context);
  };
  const judge = { pairs: join(task, 'judge-pairs.jsonl'), config: 'judge-config.json', members: 1, seed: judgeSeed };
  // The judge takes longer than an ensemble, and keeps a processor to itself. Both are waited for, so that no thread is left when
  // one fails.
  const fits = await Promise.allSettled([
    ensemble(first, Math.max(1, machine(context.env).threads - 1)),
    fit(join(folder, 'judge'), { ...judge, task }, backend, context),
  ]);
  const failure = fits.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
  for (const seed of others) await ensemble(seed);
  return builtinTaskFiles(folder, settings);
}

/**
 * The task and its models in a folder that others share: it is there as a whole, and nothing is written.
 *
 * @throws DomainError failed_precondition where the folder holds a task of other settings, or a part is missing
 */
export async function findBuiltinTask(folder: string, settings: BuiltinTaskSettings): Promise<BuiltinTaskFiles> {
  await keptTo(folder, settings, { file: settingsName, defaults: settings });
  const files = builtinTaskFiles(folder, settings);
  const models = [...files.blocks.map(({ ensemble }) => ensemble), files.judge];
  const missing = [join(folder, settingsName), ...models.map((model) => join(model, 'ensemble.json'))].find(
    (each) => !existsSync(each),
  );
  if (missing === undefined) return files;
  const seeds = settings.dataSeeds.join();
  throw new DomainError(
    'failed_precondition',
    `${missing} is not there yet: make it first with surefoot experiment run --prepare-only --task-dir ${folder} --data-seeds ${seeds}`,
  );
}

async function fit(
  out: string,
  from: {
    task: string;
    pairs: string;
    config: string;
    init?: string;
    members: number;
    seed: number;
    atOnce?: number;
  },
  backend: BackendName,
  context: Context,
): Promise<void> {
  if (existsSync(join(out, 'ensemble.json'))) return;
  const [config, init] = [join(from.task, from.config), from.init && join(from.task, from.init)];
  const name = basename(out);
  const options = {
    name,
    out,
    members: from.members,
    seed: from.seed,
    pairs: (await readPairs([from.pairs])).pairs,
    config: parseModelConfig(await readJson(config), config),
    initialisation: init ? parseInitialisation(await readJson(init), init) : undefined,
    tokenizerFolder: join(from.task, 'base'),
  };
  await computeFit({ label: name, backend, options, atOnce: from.atOnce }, context);
}
