import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { builtinTaskFiles, type BuiltinTaskFiles, type BuiltinTaskSettings } from '../experiment/builtin-task';
import { readExperiment, withFlags, type PrepareBuiltinTask } from '../experiment/config';
import { failureReason } from '../experiment/runs-file';
import { runExperiment } from '../experiment/run-experiment';
import { UsageError } from '../failure';
import { integer, option, text } from '../option';
import { experimentOptions, noteUnused } from './experiment-run';

export const experimentIndex = defineCommand({
  name: 'experiment index',
  summary: 'exactly one run of an experiment, as a pod of an Indexed Job does it',
  example: 'experiment index --config experiment.yaml --out uneven --index 3',
  ownConfig: true,
  options: {
    config: experimentOptions.config,
    out: option('<dir>', 'experiment folder, shared by all runs', text),
    index: option('<i>', '(block * runs + run) * methods + method', integer({ min: 0 })),
    address: experimentOptions.address,
    seed: experimentOptions.seed,
    weights: experimentOptions.weights,
    taskDir: experimentOptions.taskDir,
    backend: experimentOptions.backend,
  },
  async run({ config: file, out, taskDir, index, address: at, seed, weights, backend }, context) {
    const trainers = at?.split(',');
    if (trainers) noteUnused({ backend }, context);
    const prepare: PrepareBuiltinTask = (settings) => findBuiltinTask(taskDir ?? out, settings);
    const read = await readExperiment(file, trainers ? { remote: true } : { prepare });
    if (!read.usesBuiltinTask && taskDir !== undefined)
      throw new UsageError(`--task-dir is for a builtinTask, and ${file} has none`);
    const config = withFlags(read, { seed, weights });
    const options = { out, workers: 1, trainers, resume: true, index, backend };
    const { plan, lines } = await runExperiment(config, options, context);
    const line = lines.find((each) => each.index === index);
    const id = plan[index]!.id;
    if (line?.status !== 'completed')
      throw new DomainError(
        'failed_precondition',
        `run ${id} ${line?.status ?? 'has not ended'}: ${failureReason(line)}`,
      );
    return { document: line, text: `run ${id} completed in ${(line.seconds ?? 0).toFixed(1)} s` };
  },
});

/** Pods share the task and the models, so none of them makes any: they are there, or the run is refused. */
async function findBuiltinTask(folder: string, settings: BuiltinTaskSettings): Promise<BuiltinTaskFiles> {
  const files = builtinTaskFiles(resolve(folder), settings);
  const missing = [...files.blocks.map(({ ensemble }) => ensemble), files.judge].find(
    (each) => !existsSync(join(each, 'ensemble.json')),
  );
  if (missing === undefined) return files;
  throw new DomainError(
    'failed_precondition',
    `${missing} is not there yet: make it first with surefoot experiment run --prepare-only --task-dir ${folder}`,
  );
}
