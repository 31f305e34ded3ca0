import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile, publishFolder } from '@surefoot/files';
import {
  assertVocabularyFits,
  createAdapter,
  disposeAdapter,
  disposeModel,
  loadAdapter,
  loadTokenizer,
  mergeAdapter,
  parameterCount,
  readModelConfig,
  saveAdapter,
  unmergeAdapter,
  type LanguageModel,
} from '@surefoot/language-model';
import { baseAsNoted } from './adapter-base';
import { assertDigest, type KindOfEnsemble, type LoadPlan, type MemberFit } from './ensemble-kind';
import type { EnsembleFile } from './ensemble-file';
import type { FitOptions, ResolvedFit } from './fit-settings';
import { loadFrozen } from './load-frozen';
import { wholeModels, type LoadedMembers } from './loaded-members';
import { headName, newHead, rewardConfig } from './reward-head';
import { scoreSequences } from './score-sequences';
import { trainMember } from './train-member';
import { jointDigest, weightDigests } from './weight-links';

/** The weights of an adapter folder. */
export const adapterWeights = 'adapter_model.safetensors';

/** Low-rank adapters, each with a head of its own, on one base: one pass a member. */
export const adaptersEnsemble: KindOfEnsemble = {
  isDivisible: isMerged,
  modelFolders: (folder, file) => [baseFolder(folder, file)],
  load: loadAdapters,
  openFit: openAdaptersFit,
};

/**
 * Bytes that merged members may take together, as if an adapter changed every weight. Merged ones need one product a module
 * in the place of three; but a large base is held once.
 */
const mergedBytes = 2 ** 29;

function baseFolder(folder: string, { base }: EnsembleFile): string {
  const place = resolve(folder, base!);
  const noted = join(folder, 'ensemble.json');
  // Of an adapter without an ensemble the user names the base.
  if (!existsSync(place) && existsSync(noted))
    throw new DomainError(
      'not_found',
      `${noted} names ${base} as base, the model that the adapters change, but ${place} does not exist: put the model there, or write its folder as "base" in the file`,
    );
  return place;
}

async function isMerged(folder: string, file: EnsembleFile): Promise<boolean> {
  const config = rewardConfig(await readModelConfig(baseFolder(folder, file)));
  return 4 * parameterCount(config) * file.members.length <= mergedBytes;
}

async function loadAdapters(plan: LoadPlan): Promise<LoadedMembers & { digests: string[] }> {
  const { folder, file, range, weights, onWarning } = plan;
  const merges = weights !== 'bf16-mapped' && (await isMerged(folder, file));
  const base = await loadBase(baseFolder(folder, file), { weights: merges ? 'f32' : weights, onWarning });
  const adapted: LanguageModel[] = [];
  const merged: LanguageModel[] = [];
  const digests: string[] = [];
  const dispose = () => {
    for (const model of merged) unmergeAdapter(model, base);
    adapted.forEach(disposeAdapter);
    disposeModel(base);
  };
  try {
    if (file.baseSha256?.length) assertDigest(baseFolder(folder, file), base.digest, jointDigest(file.baseSha256));
    for (const { path, sha256 } of file.members.slice(range.from, range.to)) {
      const place = resolve(folder, path);
      const digest = await digestFile(join(place, adapterWeights));
      assertDigest(place, digest, sha256);
      digests.push(digest);
      const model = await loadAdapter(base, place);
      adapted.push(model);
      if (!model.adapter.replaced.has(headName))
        throw new DomainError(
          'failed_precondition',
          `${place} has no score head (task type SEQ_CLS): it is no adapter of a reward model`,
        );
    }
    if (merges) {
      for (const model of adapted) merged.push(mergeAdapter(model));
      adapted.splice(0).forEach(disposeAdapter);
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { ...wholeModels(merges ? merged : adapted), digests, dispose };
}

/** A base for adapters of reward models: frozen, and without a head that none of them reads. */
async function loadBase(folder: string, options: Pick<LoadPlan, 'weights' | 'onWarning'>): Promise<LanguageModel> {
  const { parameters, ...model } = await loadFrozen(folder, options);
  parameters.get('lm_head.weight')?.dispose();
  const trunk = new Map([...parameters].filter(([name]) => name !== 'lm_head.weight'));
  return { ...model, config: rewardConfig(model.config), parameters: trunk };
}

async function openAdaptersFit(options: FitOptions, { training, adapters }: ResolvedFit): Promise<MemberFit> {
  const { base: folder, config, out, initialisation, weights = 'auto', onWarning } = options;
  if (folder === undefined || config !== undefined)
    throw new DomainError('invalid_argument', 'adapters need a base model that they change: give one');
  const tokenizer = await loadTokenizer(folder);
  const base = await loadBase(folder, { weights, onWarning });
  try {
    assertVocabularyFits(tokenizer, base.config);
  } catch (error) {
    disposeModel(base);
    throw error;
  }
  return {
    tokenizer,
    maxTokens: base.config.maxPositions,
    baseDigest: base.digest ?? jointDigest(await weightDigests(folder)),
    prepare: () => Promise.resolve(),
    form: () => Promise.resolve(base.weights!.form),
    async fit({ path, seed }, pairs, onStep) {
      const model = createAdapter(base, adapters, seed);
      try {
        const head = newHead(base.config.hiddenSize, seed, initialisation?.head);
        model.adapter.replaced.get(headName)!.assign(head);
        head.dispose();
        await trainMember(model, pairs, training, seed, onStep);
        await publishFolder(join(out, path), (beside) =>
          saveAdapter(model, beside, { base: resolve(folder), tokenizerFolder: folder }),
        );
      } finally {
        disposeAdapter(model);
      }
    },
    async open({ path }) {
      const place = join(out, path);
      const model = await loadAdapter(base, place);
      return {
        sha256: await digestFile(join(place, adapterWeights)),
        score: async (sequences) => {
          const fitted = { members: wholeModels([model]), maxTokens: base.config.maxPositions };
          return (await scoreSequences(fitted, sequences)).map(([score]) => score as number);
        },
        dispose: () => disposeAdapter(model),
      };
    },
    base: async () => ({ base: baseAsNoted(out, folder), baseSha256: await weightDigests(folder) }),
    dispose: () => disposeModel(base),
  };
}
