import { availableParallelism } from 'node:os';
import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { readExperiment, withFlags } from '../experiment/config';
import { writeReport } from '../experiment/report';
import { runExperiment } from '../experiment/run-experiment';
import { failureReason } from '../experiment/runs-file';
import { runTable } from '../experiment/run-table';
import { defaultOutput } from '../local/output-folder';
import { policyWeights } from '../model-options';
import { address, backend, flag, integer, option, text } from '../option';

export const experimentOptions = {
  config: option('<file>', 'experiment, YAML or JSON; paths count from its folder', text),
  out: option('<dir>', 'experiment folder; default a new one in ./surefoot-out', text.optional()),
  workers: option('<n>', 'trainer processes', integer({ max: 1024 }).default(availableParallelism())),
  address: option('<host:port,…>', 'trainer services to use instead of own processes', address.optional()),
  seed: option('<n>', 'of run 0, in place of that of the file', integer({ min: 0 }).optional()),
  weights: policyWeights,
  backend,
};

export const experimentRun = defineCommand({
  name: 'experiment run',
  summary: 'many paired runs of several methods, and their report',
  example: 'experiment run --config experiment.yaml --out uneven --workers 2',
  ownConfig: true,
  options: { ...experimentOptions, resume: option('', 'go on with what the folder holds', flag) },
  async run({ config: file, out = defaultOutput('experiment'), address: at, seed, weights, ...options }, context) {
    const trainers = at?.split(',');
    const config = withFlags(await readExperiment(file, { remote: trainers !== undefined }), { seed, weights });
    const { lines } = await runExperiment(config, { ...options, out, trainers }, context);
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
