import { resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { findBuiltinTask } from '../experiment/builtin-task';
import { runExperiment } from '../experiment/run-experiment';
import { failureReason } from '../experiment/runs-file';
import { experimentFile, experimentOptions, readGivenExperiment } from '../experiment-options';
import { integer, option, text } from '../option';

export const experimentIndex = defineCommand({
  name: 'experiment index',
  summary: 'exactly one run of an experiment, as a pod of an Indexed Job does it',
  example: 'experiment index --config experiment.yaml --out uneven --index 3',
  ownConfig: true,
  options: {
    config: experimentFile,
    out: option('<dir>', 'experiment folder, shared by all runs', text),
    index: option('<i>', '(block * runs + run) * methods + method', integer({ min: 0 })),
    ...experimentOptions,
  },
  async run({ out, index, ...flags }, context) {
    const folder = resolve(flags.taskDir ?? out);
    const { config, trainers } = await readGivenExperiment(
      flags,
      (settings) => findBuiltinTask(folder, settings),
      context,
    );
    const options = { out, workers: 1, trainers, resume: true, index, backend: flags.backend };
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
