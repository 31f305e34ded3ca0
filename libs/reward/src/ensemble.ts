import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestText } from '@surefoot/files';
import {
  disposeModel,
  loadModel,
  loadTokenizer,
  parameterCount,
  readModelConfig,
  type LanguageModel,
  type ModelConfig,
  type Tokenizer,
} from '@surefoot/language-model';
import { readEnsembleFile, type EnsembleFile } from './ensemble-file';
import type { Calibration } from './ensemble-statistics';

/** Some of an ensemble's members: from the first to before the last. */
export interface MemberRange {
  /** Counted from 0. */
  from: number;
  /** The member after the last of them. */
  to: number;
}

/** K reward models of one tokenizer, loaded: all of them or some. Everything but `members` is of all. */
export interface RewardEnsemble {
  name: string;
  kind: 'full';
  /** Models with a reward head: K, or those of the range that was asked for. */
  members: LanguageModel[];
  /** [K] */
  configs: ModelConfig[];
  tokenizer: Tokenizer;
  /** [K] */
  calibration: Calibration[];
  /** [K] */
  seeds: number[];
  /** [K] sha256 of each member's weights; empty where an ensemble of several does not note it. */
  memberDigests: string[];
  /** sha256 of everything that decides a score: weights, calibration and tokenizer. */
  digest: string;
  /** Most tokens of prompt and response together. */
  maxTokens: number;
}

/**
 * Loads an ensemble folder, or a plain reward-model folder as an ensemble of one member with mean 0 and scale 1.
 *
 * @param options.range the members to load, default all; of the others the configurations alone are read, so that threads can
 *   share an ensemble. Its digests are those of all members; every one is checked where it is loaded.
 * @throws DomainError not_found, invalid_argument where a file is malformed; failed_precondition where a member's weights are
 *   not those that `ensemble.json` names, or the members do not share one tokenizer
 *
 * Tensors: the caller disposes the ensemble with {@link disposeEnsemble}.
 */
export async function loadEnsemble(folder: string, { range }: { range?: MemberRange } = {}): Promise<RewardEnsemble> {
  const { file, paths } = await readFolder(folder);
  const { from, to } = range ?? { from: 0, to: paths.length };
  const own = paths.slice(from, to);
  // Reading a large tokenizer takes longer than a small model: each only where its member is loaded.
  const tokenizer = await sharedTokenizer([...new Set([paths[0] as string, ...own])]);
  const configs = await Promise.all(paths.map(readModelConfig));
  const members: LanguageModel[] = [];
  try {
    for (const [i, path] of own.entries()) {
      const model = await loadModel(path, { head: 'reward' });
      members.push(model);
      const expected = file.members[from + i]?.sha256;
      if (expected && model.digest !== expected)
        throw new DomainError('failed_precondition', `${path}: the weights are not those that ensemble.json names`);
      if (model.config.vocabularySize < tokenizer.vocabularySize)
        throw new DomainError('failed_precondition', `${path}: the model has fewer token ids than its tokenizer`);
    }
  } catch (error) {
    members.forEach(disposeModel);
    throw error;
  }
  const maxTokens = Math.min(...configs.map(({ maxPositions }) => maxPositions));
  return { ...describeEnsemble(file, members, tokenizer), members, configs, maxTokens };
}

/**
 * What is to be known before an ensemble is loaded.
 *
 * @returns K, and the numbers that the parameters of its largest member hold
 * @throws as {@link loadEnsemble}, as far as files other than weights and tokenizers are at fault
 */
export async function ensembleSize(folder: string): Promise<{ members: number; parameters: number }> {
  const { paths } = await readFolder(folder);
  const configs = await Promise.all(paths.map(readModelConfig));
  return { members: paths.length, parameters: Math.max(...configs.map(parameterCount)) };
}

/** The tokenizer of such a folder alone, without any weights. @throws as {@link loadEnsemble} */
export async function loadEnsembleTokenizer(folder: string): Promise<Tokenizer> {
  return sharedTokenizer((await readFolder(folder)).paths);
}

/** Frees the members' weights. */
export function disposeEnsemble({ members }: RewardEnsemble): void {
  members.forEach(disposeModel);
}

function describeEnsemble(file: EnsembleFile, loaded: LanguageModel[], tokenizer: Tokenizer) {
  // Where it was not noted, a member that is the only one is loaded; of several, threads that share them load others.
  const only = file.members.length === 1 ? loaded[0]?.digest : undefined;
  const memberDigests = file.members.map(({ sha256 }) => sha256 || (only ?? ''));
  const calibration = file.members.map(({ mean, scale }) => ({ mean, scale }));
  return {
    name: file.name,
    kind: file.kind,
    tokenizer,
    calibration,
    seeds: file.members.map(({ seed }) => seed),
    memberDigests,
    digest: digestText(JSON.stringify([memberDigests, calibration, tokenizer.digest])),
  };
}

async function readFolder(folder: string): Promise<{ file: EnsembleFile; paths: string[] }> {
  const isPlain = existsSync(join(folder, 'config.json')) && !existsSync(join(folder, 'ensemble.json'));
  const file = isPlain ? plainFile(folder) : await readEnsembleFile(folder);
  return { file, paths: file.members.map(({ path }) => join(folder, path)) };
}

function plainFile(folder: string): EnsembleFile {
  const member = { seed: 0, path: '.', sha256: '', mean: 0, scale: 1 };
  return { format: 1, name: basename(resolve(folder)), kind: 'full', base: null, members: [member] };
}

async function sharedTokenizer(paths: string[]): Promise<Tokenizer> {
  const [first, ...others] = await Promise.all(paths.map(loadTokenizer));
  const different = others.findIndex(({ digest }) => digest !== first?.digest);
  if (different >= 0)
    throw new DomainError('failed_precondition', `${paths[different + 1]}: not the tokenizer of ${paths[0]}`);
  return first as Tokenizer;
}
