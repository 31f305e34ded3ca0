import { join, resolve } from 'node:path';
import { publishFolder } from '@surefoot/files';
import { disposeModel, loadModel, saveModel, type LanguageModel } from '@surefoot/language-model';
import { assertDigest, type KindOfEnsemble } from './ensemble-kind';
import { loadFrozen } from './load-frozen';
import { wholeModels } from './loaded-members';
import { scoreSequences } from './score-sequences';
import { openStartingPoint } from './starting-point';
import { trainMember } from './train-member';

/** Every member is a model of its own. */
export const fullEnsemble: KindOfEnsemble = {
  isDivisible: () => Promise.resolve(true),

  modelFolders: (folder, { members }) => members.map(({ path }) => resolve(folder, path)),

  async load({ folder, file, range, weights, onWarning }) {
    const models: LanguageModel[] = [];
    try {
      for (const { path, sha256 } of file.members.slice(range.from, range.to)) {
        const place = resolve(folder, path);
        const model = await loadFrozen(place, { head: 'reward', weights, onWarning });
        models.push(model);
        assertDigest(place, model.digest, sha256);
      }
    } catch (error) {
      models.forEach(disposeModel);
      throw error;
    }
    return { ...wholeModels(models), digests: models.map(({ digest }) => digest ?? '') };
  },

  async openFit(options, { training }) {
    const start = await openStartingPoint(options);
    const { tokenizer, maxTokens, baseDigest } = start;
    const { out, base = null } = options;
    return {
      ...{ tokenizer, maxTokens, baseDigest },
      prepare: () => Promise.resolve(),
      form: () => Promise.resolve('f32'),
      async fit({ path, seed }, pairs, onStep) {
        const model = start.create(seed);
        try {
          await trainMember(model, pairs, training, seed, onStep);
          await publishFolder(join(out, path), (folder) =>
            saveModel(model, folder, { tokenizerFolder: start.tokenizerFolder }),
          );
        } finally {
          disposeModel(model);
        }
      },
      async open({ path }) {
        const model = await loadModel(join(out, path), { head: 'reward' });
        const members = wholeModels([model]);
        return {
          sha256: model.digest as string,
          score: async (sequences) => {
            const rows = await scoreSequences({ members, maxTokens: model.config.maxPositions }, sequences);
            return rows.map(([score]) => score as number);
          },
          dispose: members.dispose,
        };
      },
      base: () => Promise.resolve({ base }),
      dispose: () => start.dispose(),
    };
  },
};
