import { importEnsemble } from '@surefoot/reward';
import { counted } from '@surefoot/risk';
import { defineCommand } from '../command';
import { ensembleName } from '../ensemble-name';
import { noteOrigin } from '../model-options';
import { option, text, texts } from '../option';

export const rewardImport = defineCommand({
  name: 'reward import',
  summary: 'makes an ensemble of reward-model folders that exist, or of adapters on one base',
  example: 'reward import --members reward-a reward-b reward-c --out ensemble',
  options: {
    members: option('<dirs...>', 'reward-model folders, or adapter folders of reward models', texts),
    base: option('<dir>', 'base of the adapters; default the one that they name', text.optional()),
    out: option('<dir>', 'ensemble folder', text),
    name: option('<name>', 'of the ensemble; default the folder’s', text.optional()),
  },
  async run({ members, base, out, name = ensembleName(out) }, { terminal }) {
    const created = new Date().toISOString();
    const ensemble = await importEnsemble({ members, out, name, created, ...(base !== undefined && { base }) });
    if (base !== undefined) for (const member of members) await noteOrigin(member, base, terminal);
    const shared = ensemble.kind === 'adapters' ? ` on ${ensemble.base}` : '';
    const lines = ensemble.members.map(
      ({ path, sha256 }, k) => `${path}: ${members[k]}, sha256 ${sha256.slice(0, 12)}`,
    );
    return {
      document: { folder: out, ...ensemble },
      text: [
        `${out}: ${counted(members.length, 'member')}, ${ensemble.kind}${shared}`,
        ...lines,
        `not calibrated: scores are raw until surefoot reward calibrate --ensemble ${out} --in <rollouts>`,
      ].join('\n'),
    };
  },
});
