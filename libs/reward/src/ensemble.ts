import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestText } from '@surefoot/files';
import {
  isAdapterFolder,
  parameterCount,
  readModelConfig,
  type ModelConfig,
  type Tokenizer,
  type WeightForm,
} from '@surefoot/language-model';
import { adapterBase } from './adapter-base';
import { readEnsembleFile, type EnsembleFile, type EnsembleKind } from './ensemble-file';
import type { MemberRange } from './ensemble-kind';
import { kindsOfEnsemble } from './ensemble-kinds';
import type { Calibration } from './ensemble-statistics';
import type { OnWarning } from './load-frozen';
import type { LoadedMembers } from './loaded-members';
import { rewardConfig } from './reward-head';
import { sharedTokenizer } from './shared-tokenizer';

/** K reward models of one tokenizer, loaded: all of them or some. Everything but `members` is of all. */
export interface RewardEnsemble {
  name: string;
  kind: EnsembleKind;
  /** K, or those of the range that was asked for. */
  members: LoadedMembers;
  /** Of the models that score: one, or one of each member. */
  configs: ModelConfig[];
  tokenizer: Tokenizer;
  /** [K] */
  calibration: Calibration[];
  /** [K] */
  seeds: number[];
  /** [K] sha256 of what each member has of its own; empty where an ensemble of several does not note it. */
  memberDigests: string[];
  /** sha256 of everything that decides a score: weights, calibration and tokenizer. */
  digest: string;
  /** Most tokens of prompt and response together. */
  maxTokens: number;
}

/**
 * Loads an ensemble folder, or a plain reward-model or adapter folder as an ensemble of one member with mean 0 and scale 1.
 *
 * @param options.adapter folder of an adapter on the model of `folder`, which is then that one member
 * @param options.weights default `auto`
 * @param options.onWarning told what a user should know of how the weights are held
 * @param options.range the members to load, default all; of the others the configurations alone are read, so that threads can
 *   share an ensemble. Its digests are those of all members; every one is checked where it is loaded.
 * @throws DomainError not_found, invalid_argument where a file is malformed; failed_precondition where a member's weights are
 *   not those that `ensemble.json` names, or the members do not share one tokenizer
 *
 * Tensors: the caller disposes the ensemble with {@link disposeEnsemble}.
 */
export async function loadEnsemble(
  folder: string,
  {
    range,
    weights = 'auto',
    adapter,
    onWarning,
  }: { range?: MemberRange; weights?: WeightForm; adapter?: string; onWarning?: OnWarning } = {},
): Promise<RewardEnsemble> {
  const file = await readFolder(folder, adapter);
  const kind = kindsOfEnsemble[file.kind];
  const models = kind.modelFolders(folder, file);
  const loading = range ?? { from: 0, to: file.members.length };
  // Reading a large tokenizer takes longer than a small model: each only where its member is loaded.
  const own = models.slice(loading.from, loading.to);
  const tokenizer = await sharedTokenizer([...new Set([models[0]!, ...own])]);
  const configs = (await Promise.all(models.map(readModelConfig))).map(rewardConfig);
  const narrow = configs.findIndex(({ vocabularySize }) => vocabularySize < tokenizer.vocabularySize);
  if (narrow >= 0)
    throw new DomainError('failed_precondition', `${models[narrow]}: the model has fewer token ids than its tokenizer`);
  const { digests, ...members } = await kind.load({ folder, file, range: loading, weights, onWarning });
  const maxTokens = Math.min(...configs.map(({ maxPositions }) => maxPositions));
  return { ...describeEnsemble(file, digests, tokenizer), members, configs, maxTokens };
}

/** What is to be known of an ensemble before it is loaded. */
export interface EnsembleSize {
  /** K */
  members: number;
  /** Numbers that the largest model holds. */
  parameters: number;
  /** Whether threads may share the members, each with some of them. */
  isDivisible: boolean;
}

/** @throws as {@link loadEnsemble}, as far as files other than weights and tokenizers are at fault */
export async function ensembleSize(folder: string, { adapter }: { adapter?: string } = {}): Promise<EnsembleSize> {
  const file = await readFolder(folder, adapter);
  const { isDivisible, modelFolders } = kindsOfEnsemble[file.kind];
  const configs = (await Promise.all(modelFolders(folder, file).map(readModelConfig))).map(rewardConfig);
  return {
    members: file.members.length,
    parameters: Math.max(...configs.map(parameterCount)),
    isDivisible: await isDivisible(folder, file),
  };
}

/** The tokenizer of such a folder alone, without any weights. @throws as {@link loadEnsemble} */
export async function loadEnsembleTokenizer(folder: string): Promise<Tokenizer> {
  const file = await readFolder(folder);
  return sharedTokenizer(kindsOfEnsemble[file.kind].modelFolders(folder, file));
}

/** Frees the members' weights. */
export function disposeEnsemble({ members }: RewardEnsemble): void {
  members.dispose();
}

function describeEnsemble(file: EnsembleFile, loaded: string[], tokenizer: Tokenizer) {
  // Where it was not noted, a member that is the only one is loaded; of several, threads that share them load others.
  const only = file.members.length === 1 ? loaded[0] : undefined;
  const memberDigests = file.members.map(({ sha256 }) => sha256 || (only ?? ''));
  const calibration = file.members.map(({ mean, scale }) => ({ mean, scale }));
  // What the members share decides their scores too; a full ensemble shares nothing.
  const decisive = [memberDigests, calibration, tokenizer.digest, ...(file.baseSha256 ? [file.baseSha256] : [])];
  return {
    name: file.name,
    kind: file.kind,
    tokenizer,
    calibration,
    seeds: file.members.map(({ seed }) => seed),
    memberDigests,
    digest: digestText(JSON.stringify(decisive)),
  };
}

async function readFolder(folder: string, adapter?: string): Promise<EnsembleFile> {
  if (adapter !== undefined) return plainFile(adapter, 'adapters', resolve(folder));
  if (existsSync(join(folder, 'ensemble.json'))) return readEnsembleFile(folder);
  if (isAdapterFolder(folder)) return plainFile(folder, 'adapters', await adapterBase(folder));
  return existsSync(join(folder, 'config.json')) ? plainFile(folder, 'full', null) : readEnsembleFile(folder);
}

/** An ensemble of the one member that a folder is. */
function plainFile(folder: string, kind: EnsembleKind, base: string | null): EnsembleFile {
  const member = { seed: 0, path: resolve(folder), sha256: '', mean: 0, scale: 1 };
  return { format: 1, name: basename(resolve(folder)), kind, base, members: [member] };
}
