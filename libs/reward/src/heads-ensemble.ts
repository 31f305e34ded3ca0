import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { publishFolder } from '@surefoot/files';
import {
  assertVocabularyFits,
  disposeModel,
  hiddenStates,
  lastTokenRows,
  loadTokenizer,
  readModelConfig,
  type LanguageModel,
} from '@surefoot/language-model';
import { linear } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { assertDigest, type KindOfEnsemble, type LoadPlan, type MemberFit } from './ensemble-kind';
import type { FitOptions, ResolvedFit } from './fit-settings';
import { keepHiddenStates, type HiddenStates } from './hidden-states';
import { loadFrozen } from './load-frozen';
import type { LoadedMembers } from './loaded-members';
import { openStartingPoint } from './starting-point';
import { trainHead } from './train-head';
import { trainMember } from './train-member';
import { newHead, rewardConfig } from './reward-head';
import { linkTrunk, readHead, saveHead, saveTrunk, trunkName } from './trunk-folder';
import { jointDigest, weightDigests } from './weight-links';

/** Heads on one trunk: one pass, and all heads in one product. */
export const headsEnsemble: KindOfEnsemble = {
  isDivisible: () => Promise.resolve(false),
  modelFolders: (folder, { base }) => [resolve(folder, base!)],
  load: loadHeads,
  openFit: openHeadsFit,
};

async function loadHeads({
  folder,
  file,
  range,
  weights,
  onWarning,
}: LoadPlan): Promise<LoadedMembers & { digests: string[] }> {
  const own = file.members.slice(range.from, range.to);
  const read = await Promise.all(own.map(({ path }) => readHead(resolve(folder, path))));
  read.forEach(({ sha256 }, i) => assertDigest(resolve(folder, own[i]!.path), sha256, own[i]!.sha256));
  // A member's folder is a model that shares its trunk with the others.
  const first = resolve(folder, own[0]!.path);
  const model = await loadFrozen(first, { head: 'reward', weights, onWarning });
  let heads: tf.Tensor2D | undefined;
  try {
    if (file.baseSha256?.length) assertDigest(first, model.digest, jointDigest([...file.baseSha256, read[0]!.sha256]));
    const { hiddenSize } = model.config;
    const wrong = read.findIndex(({ values }) => values.length !== hiddenSize);
    if (wrong >= 0)
      throw new DomainError(
        'invalid_argument',
        `${resolve(folder, own[wrong]!.path)}: a head of ${read[wrong]!.values.length} weights, the trunk has width ${hiddenSize}`,
      );
    const values = new Float32Array(own.length * hiddenSize);
    read.forEach(({ values: head }, k) => values.set(head, k * hiddenSize));
    heads = tf.tensor2d(values, [own.length, hiddenSize]);
  } catch (error) {
    disposeModel(model);
    throw error;
  }
  return { ...headsOnTrunk(model, heads), digests: read.map(({ sha256 }) => sha256) };
}

/** Members that are heads. @param heads [K, H] @param trunk a model whose own head is not looked at; both disposed with them */
export function headsOnTrunk(trunk: LanguageModel, heads: tf.Tensor2D): LoadedMembers {
  return {
    count: heads.shape[0],
    configs: [rewardConfig(trunk.config)],
    scoreBatch: (batch) =>
      tf.tidy(() => linear(hiddenStates(trunk, batch, lastTokenRows(batch)), heads, { transposeWeight: true })),
    dispose() {
      heads.dispose();
      disposeModel(trunk);
    },
  };
}

async function openHeadsFit(options: FitOptions, { training, heads }: ResolvedFit): Promise<MemberFit> {
  const { base, config, tokenizerFolder, out, initialisation, weights = 'auto', onWarning, onProgress } = options;
  if (base === undefined && !heads.tuneTrunk)
    throw new DomainError(
      'invalid_argument',
      'heads on a trunk of random weights learn next to nothing: tune the trunk first, or start from a base model',
    );
  const from = base ?? tokenizerFolder;
  const geometry = base === undefined ? config : await readModelConfig(base);
  if (from === undefined || geometry === undefined || (base !== undefined && config !== undefined))
    throw new DomainError(
      'invalid_argument',
      'heads need either a base model, or a config and a tokenizer folder for a trunk from scratch',
    );
  const tokenizer = await loadTokenizer(from);
  assertVocabularyFits(tokenizer, geometry);
  const trunk = join(out, trunkName);
  let model: LanguageModel | undefined;
  let known: HiddenStates | undefined;
  // As the members will be served: from the published folder.
  const openTrunk = async () => (model ??= await loadFrozen(trunk, { weights, onWarning }));
  const onPass = (step: number, steps: number) =>
    onProgress?.({ member: 'texts', members: options.members, step, steps, loss: null });
  const openStates = async () => (known ??= keepHiddenStates(await openTrunk(), training.tokenBudget, onPass));
  return {
    tokenizer,
    maxTokens: geometry.maxPositions,
    baseDigest: base === undefined ? null : jointDigest(await weightDigests(base)),
    async prepare(pairs, onStep) {
      if (existsSync(trunk)) return;
      if (!heads.tuneTrunk) return publishFolder(trunk, (folder) => linkTrunk(base!, folder));
      const start = await openStartingPoint(options);
      // Beyond the seeds of members: none begins as the head that the trunk was tuned under.
      const seed = 2 ** 50 + options.seed;
      const tuned = start.create(seed);
      try {
        await trainMember(tuned, pairs, { ...training, ...heads.tuneTrunk }, seed, onStep);
        await publishFolder(trunk, (folder) => saveTrunk(tuned, folder, start.tokenizerFolder));
      } finally {
        disposeModel(tuned);
        start.dispose();
      }
    },
    form: async () => (await openTrunk()).weights!.form,
    async fit({ path, seed }, pairs, onStep) {
      const states = await openStates();
      const head = newHead(geometry.hiddenSize, seed, initialisation?.head);
      try {
        await trainHead(head, states, pairs, { training, pull: heads.pull, seed, onStep });
        await publishFolder(join(out, path), (folder) => saveHead(trunk, head, folder));
      } finally {
        head.dispose();
      }
    },
    async open({ path }) {
      const states = await openStates();
      const { values, sha256 } = await readHead(join(out, path));
      const score = (sequences: Int32Array[]) => scoreStates(states, values, sequences);
      return { sha256, score, dispose: () => undefined };
    },
    base: async () => ({ base: trunkName, baseSha256: await weightDigests(trunk) }),
    dispose: () => model && disposeModel(model),
  };
}

/** Sequences of one product, so that it fits in any memory. */
const sequencesAtOnce = 1024;

async function scoreStates(states: HiddenStates, head: Float32Array, sequences: Int32Array[]): Promise<number[]> {
  const scores: number[] = [];
  for (let start = 0; start < sequences.length; start += sequencesAtOnce) {
    const hidden = await states.of(sequences.slice(start, start + sequencesAtOnce));
    const product = tf.tidy(() =>
      linear(tf.tensor2d(hidden, [hidden.length / head.length, head.length]), tf.tensor2d(head, [1, head.length]), {
        transposeWeight: true,
      }),
    );
    scores.push(...(await product.data()));
    product.dispose();
  }
  return scores;
}
