import { readRollouts } from '@surefoot/preference';
import { calibrateEnsemble } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import { defineCommand } from '../command';
import { inFile } from '../lines';
import { refuseUnavailableWeights, weights } from '../model-options';
import { backend, option, text } from '../option';

export const rewardCalibrate = defineCommand({
  name: 'reward calibrate',
  summary: 'stores each member’s mean and scale over reference samples in ensemble.json',
  example: 'reward calibrate --ensemble ensemble --in samples.jsonl',
  options: { ensemble: option('<dir>', 'ensemble folder', text), in: inFile, weights, backend },
  async run({ ensemble, in: file, weights: form, backend: name }) {
    refuseUnavailableWeights(form);
    const rollouts = await readRollouts(file);
    await openBackend(name);
    const members = await calibrateEnsemble(ensemble, rollouts);
    const lines = members.map(
      ({ mean, scale }, k) => `member ${k}: mean ${mean.toFixed(4)}, scale ${scale.toFixed(4)}`,
    );
    return { document: { ensemble, samples: rollouts.length, members }, text: lines.join('\n') };
  },
});
