import { DomainError } from '@surefoot/errors';
import { RunState, type PolicyValue } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { defineCommand } from '../command';
import { readRunFile, withFlags } from '../experiment/config';
import { modelFolder, remoteRunJson } from '../experiment/remote-run';
import { runLocally, runRemotely } from '../experiment/single-run';
import { defaultOutput } from '../local/output-folder';
import { policyWeights } from '../model-options';
import { address, backend, flag, integer, option, text } from '../option';
import { stateName } from '../trainer-client';

export const train = defineCommand({
  name: 'train',
  summary: 'one PPO run, in local processes or through a trainer service',
  example: 'train --config run.yaml --out trained',
  ownConfig: true,
  options: {
    config: option('<file>', 'the run, YAML or JSON; paths count from its folder', text),
    address: option('<host:port>', 'trainer service; its paths count from its data directory', address.optional()),
    out: option('<dir>', 'folder for a local run; default a new one in ./surefoot-out', text.optional()),
    name: option('<id>', 'name of the run; default that of the file', text.optional()),
    seed: option('<n>', 'in place of the seed of the file', integer({ min: 0 }).optional()),
    resume: option('', 'go on from the last checkpoint', flag),
    weights: policyWeights,
    backend,
  },
  async run({ config, address: at, out = defaultOutput('train'), name, resume, backend: computes, ...flags }, context) {
    const file = withFlags(await readRunFile(config, { remote: at !== undefined }), flags);
    const options = { id: name ?? file.name, resume, backend: computes };
    const run =
      at === undefined ? await runLocally(file, out, options, context) : await runRemotely(file, at, options, context);
    if (run.state !== RunState.RUN_STATE_COMPLETED)
      throw new DomainError(
        'failed_precondition',
        `run ${run.id} ${stateName(run.state)}: ${run.error?.message ?? 'no reason given'}`,
      );
    const model = at === undefined ? `${out}/runs/${run.id}/model` : modelFolder(run);
    const where = at === undefined ? model : model === undefined ? at : `${model} on the machine of ${at}`;
    const { initial, final } = run.result ?? {};
    return {
      document: { folder: at === undefined ? out : null, ...remoteRunJson(run), model: model ?? null },
      text: `${run.id} completed, ${values(initial)} → ${values(final)}, KL ${final?.kl?.toFixed(2) ?? '?'}; ${where}`,
    };
  },
});

function values(value: PolicyValue | undefined): string {
  const parts = (['gold', 'judge'] as const).flatMap((measure) => {
    const mean = value?.[measure];
    return mean === undefined ? [] : [`${measure} ${mean.toFixed(3)}`];
  });
  return parts.join(' ') || 'no measure';
}
