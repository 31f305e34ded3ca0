import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { defineCommand, type Context } from '../command';
import { prepareBuiltinTask } from '../experiment/builtin-task';
import { readExperiment, withFlags, type PrepareBuiltinTask } from '../experiment/config';
import { writeReport } from '../experiment/report';
import { runExperiment } from '../experiment/run-experiment';
import { failureReason } from '../experiment/runs-file';
import { runTable } from '../experiment/run-table';
import { UsageError } from '../failure';
import { defaultOutput } from '../local/output-folder';
import { withClaim } from '../local/pid-file';
import { policyWeights } from '../model-options';
import { address, allDiffering, backend, dataSeed, flag, integer, listOf, option, text } from '../option';

export const experimentOptions = {
  config: option('<file>', 'experiment, YAML or JSON; paths count from its folder', text),
  out: option('<dir>', 'experiment folder; default a new one in ./surefoot-out', text.optional()),
  workers: option(
    '<n>',
    `trainer processes, none with --address; default ${availableParallelism()}, one for each core`,
    integer({ max: 1024 }).optional(),
  ),
  address: option('<host:port,…>', 'trainer services to use instead of own processes', address.optional()),
  seed: option('<n>', 'of run 0, in place of that of the file', integer({ min: 0 }).optional()),
  weights: policyWeights,
  taskDir: option(
    '<dir>',
    'folder of the built-in task and its models, which experiments may share; default that of the experiment',
    text.optional(),
  ),
  backend,
};

/** With trainer services nothing computes here: says which flags have no effect. */
export function noteUnused(flags: { workers?: number; backend: string }, { terminal, env }: Context): void {
  const unused = [
    ...(flags.workers === undefined ? [] : [`--workers ${flags.workers}`]),
    ...(flags.backend === 'auto' || flags.backend === env[backend.variable] ? [] : [`--backend ${flags.backend}`]),
  ];
  if (unused.length > 0)
    terminal.note(
      `${unused.join(', ')}: without effect, because the trainer services of --address compute as they are set`,
    );
}

export const experimentRun = defineCommand({
  name: 'experiment run',
  summary: 'many paired runs of several methods, and their report',
  example: 'experiment run --config experiment.yaml --out uneven --workers 2',
  ownConfig: true,
  options: {
    ...experimentOptions,
    dataSeeds: option(
      '<list>',
      'of the built-in task, in place of those of the file',
      allDiffering(listOf(dataSeed)).optional(),
    ),
    prepareOnly: option('', 'only write the built-in task and fit its models, for experiment index', flag),
    resume: option('', 'go on with what the folder holds', flag),
  },
  async run({ config: file, out = defaultOutput('experiment'), taskDir, dataSeeds, prepareOnly, ...given }, context) {
    const { address: at, seed, weights, workers, ...options } = given;
    const trainers = at?.split(',');
    if (trainers) noteUnused({ workers, backend: options.backend }, context);
    const folder = resolve(taskDir ?? out);
    const prepare: PrepareBuiltinTask = (settings) => {
      const chosen = { ...settings, dataSeeds: dataSeeds ?? settings.dataSeeds };
      return withClaim(folder, () => prepareBuiltinTask(folder, chosen, options.backend, context));
    };
    const read = await readExperiment(file, trainers ? { remote: true } : { prepare });
    if (!read.usesBuiltinTask && (dataSeeds || prepareOnly || taskDir !== undefined))
      throw new UsageError(`--data-seeds, --prepare-only and --task-dir are for a builtinTask, and ${file} has none`);
    if (prepareOnly) {
      const task = taskDir ?? out;
      return { document: { folder: task }, text: `the built-in task and its models are in ${task}` };
    }
    const { lines } = await runExperiment(
      withFlags(read, { seed, weights }),
      { ...options, workers: workers ?? availableParallelism(), out, trainers },
      context,
    );
    const failed = lines.filter(({ status }) => status === 'failed');
    if (failed.length === lines.length)
      throw new DomainError(
        'failed_precondition',
        `all ${failed.length} runs failed, the first: ${failureReason(failed[0])}`,
      );
    const { report, html, verdict } = await writeReport([out]);
    return {
      document: { folder: out, runs: lines.length, failed: failed.length, report },
      text: `${runTable(report)}\n\n${verdict}\nreport: ${html}`,
    };
  },
});
