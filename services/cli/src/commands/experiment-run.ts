import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { prepareBuiltinTask } from '../experiment/builtin-task';
import { writeReport } from '../experiment/report';
import { runExperiment } from '../experiment/run-experiment';
import { failureReason } from '../experiment/runs-file';
import { runTable } from '../experiment/run-table';
import { experimentFile, experimentOptions, readGivenExperiment } from '../experiment-options';
import { defaultOutput } from '../local/output-folder';
import { withClaim } from '../local/pid-file';
import { flag, integer, option, text } from '../option';

export const experimentRun = defineCommand({
  name: 'experiment run',
  summary: 'many paired runs of several methods, and their report',
  example: 'experiment run --config experiment.yaml --out uneven --workers 2',
  ownConfig: true,
  options: {
    config: experimentFile,
    out: option('<dir>', 'experiment folder; default a new one in ./surefoot-out', text.optional()),
    workers: option(
      '<n>',
      `trainer processes, none with --address; default ${availableParallelism()}, one for each core`,
      integer({ max: 1024 }).optional(),
    ),
    ...experimentOptions,
    prepareOnly: option('', 'only write the built-in task and fit its models, for experiment index', flag),
    resume: option('', 'go on with what the folder holds', flag),
  },
  async run({ out = defaultOutput('experiment'), resume, ...flags }, context) {
    const { taskDir = out, workers = availableParallelism(), prepareOnly, backend } = flags;
    const folder = resolve(taskDir);
    const { config, trainers } = await readGivenExperiment(
      flags,
      (settings) => withClaim(folder, () => prepareBuiltinTask(folder, settings, backend, context)),
      context,
    );
    if (prepareOnly)
      return { document: { folder: taskDir }, text: `the built-in task and its models are in ${taskDir}` };
    const { lines } = await runExperiment(config, { out, workers, trainers, resume, backend }, context);
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
