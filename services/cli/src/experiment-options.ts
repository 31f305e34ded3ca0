import type { BackendName } from '@surefoot/tensor';
import type { Context } from './command';
import { readExperiment, withFlags, type ExperimentConfig, type PrepareBuiltinTask } from './experiment/config';
import { UsageError } from './failure';
import { policyWeights } from './model-options';
import { address, allDiffering, backend, dataSeed, integer, listOf, option, text } from './option';

export const experimentFile = option('<file>', 'experiment, YAML or JSON; paths count from its folder', text);

/** What else the commands that run an experiment have in common. */
export const experimentOptions = {
  address: option('<host:port,…>', 'trainer services to use instead of own processes', address.optional()),
  seed: option('<n>', 'of run 0, in place of that of the file', integer({ min: 0 }).optional()),
  weights: policyWeights,
  taskDir: option(
    '<dir>',
    'folder of the built-in task and its models, which experiments may share; default that of the experiment',
    text.optional(),
  ),
  dataSeeds: option(
    '<list>',
    'of the built-in task, in place of those of the file',
    allDiffering(listOf(dataSeed)).optional(),
  ),
  backend,
};

/** Their values, and those of `experiment run` alone that depend on them. */
interface ExperimentFlags {
  config: string;
  address?: string;
  seed?: number;
  weights?: ExperimentConfig['weights'];
  taskDir?: string;
  dataSeeds?: number[];
  backend: BackendName;
  workers?: number;
  prepareOnly?: boolean;
}

/**
 * The experiment of a file with what flags say in the place of it, and the trainer services that are to run it.
 *
 * @param prepare makes the built-in task or finds it, where the file asks for it
 * @throws UsageError where a flag is for a built-in task and there is none; as `readExperiment`
 */
export async function readGivenExperiment(
  { config: file, address: addresses, dataSeeds, seed, weights, ...flags }: ExperimentFlags,
  prepare: PrepareBuiltinTask,
  context: Context,
): Promise<{ config: ExperimentConfig; trainers?: string[] }> {
  const trainers = addresses?.split(',');
  if (trainers) noteUnused(flags, context);
  const read = await readExperiment(
    file,
    trainers
      ? { remote: true }
      : { prepare: (settings) => prepare({ ...settings, dataSeeds: dataSeeds ?? settings.dataSeeds }) },
  );
  const forTask = [
    ...(dataSeeds ? ['--data-seeds'] : []),
    ...(flags.prepareOnly ? ['--prepare-only'] : []),
    ...(flags.taskDir === undefined ? [] : ['--task-dir']),
  ];
  if (!read.usesBuiltinTask && forTask.length > 0)
    throw new UsageError(`${forTask.join(', ')}: only for a builtinTask, and ${file} has none`);
  return { config: withFlags(read, { seed, weights }), trainers };
}

/** With trainer services nothing computes here: says which flags have no effect. */
function noteUnused(flags: Pick<ExperimentFlags, 'workers' | 'backend'>, { terminal, env }: Context): void {
  const unused = [
    ...(flags.workers === undefined ? [] : [`--workers ${flags.workers}`]),
    ...(flags.backend === 'auto' || flags.backend === env[backend.variable] ? [] : [`--backend ${flags.backend}`]),
  ];
  if (unused.length > 0)
    terminal.note(
      `${unused.join(', ')}: without effect, because the trainer services of --address compute as they are set`,
    );
}
