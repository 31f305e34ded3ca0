import { readRollouts } from '@surefoot/preference';
import { calibrateEnsemble, ensembleSize } from '@surefoot/reward';
import { defineCommand } from '../command';
import { openForModel } from '../compute/open-backend';
import { inFile, rolloutLine } from '../lines';
import { weights } from '../model-options';
import { backend, option, text } from '../option';

export const rewardCalibrate = defineCommand({
  name: 'reward calibrate',
  summary: 'stores each member’s mean and scale over reference samples in ensemble.json',
  example: 'reward calibrate --ensemble ensemble --in samples.jsonl',
  options: { ensemble: option('<dir>', 'ensemble folder', text), in: inFile(rolloutLine), weights, backend },
  async run({ ensemble, in: file, weights: form, backend: name }, context) {
    const rollouts = await readRollouts(file);
    await openForModel(name, context, (await ensembleSize(ensemble)).parameters);
    const members = await calibrateEnsemble(ensemble, rollouts, { weights: form, onWarning: context.terminal.note });
    const lines = members.map(
      ({ mean, scale }, k) => `member ${k}: mean ${mean.toFixed(4)}, scale ${scale.toFixed(4)}`,
    );
    return { document: { ensemble, samples: rollouts.length, members }, text: lines.join('\n') };
  },
});
