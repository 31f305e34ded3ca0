import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestText } from '@surefoot/files';
import { disposeModel, loadModel, loadTokenizer, type LanguageModel, type Tokenizer } from '@surefoot/language-model';
import { readEnsembleFile, type EnsembleFile } from './ensemble-file';
import type { Calibration } from './ensemble-statistics';

/** K reward models of one tokenizer, loaded. */
export interface RewardEnsemble {
  name: string;
  kind: 'full';
  /** K models with a reward head. */
  members: LanguageModel[];
  tokenizer: Tokenizer;
  /** [K] */
  calibration: Calibration[];
  /** [K] */
  seeds: number[];
  /** [K] sha256 of each member's weights. */
  memberDigests: string[];
  /** sha256 of everything that decides a score: weights, calibration and tokenizer. */
  digest: string;
  /** Most tokens of prompt and response together. */
  maxTokens: number;
}

/**
 * Loads an ensemble folder, or a plain reward-model folder as an ensemble of one member with mean 0 and scale 1.
 *
 * @throws DomainError not_found, invalid_argument where a file is malformed; failed_precondition where a member's weights are
 *   not those that `ensemble.json` names, or the members do not share one tokenizer
 *
 * Tensors: the caller disposes the ensemble with {@link disposeEnsemble}.
 */
export async function loadEnsemble(folder: string): Promise<RewardEnsemble> {
  const { file, paths } = await readFolder(folder);
  const tokenizer = await sharedTokenizer(paths);
  const members: LanguageModel[] = [];
  try {
    for (const [k, path] of paths.entries()) {
      const model = await loadModel(path, { head: 'reward' });
      members.push(model);
      const expected = file.members[k]?.sha256;
      if (expected && model.digest !== expected)
        throw new DomainError('failed_precondition', `${path}: the weights are not those that ensemble.json names`);
      if (model.config.vocabularySize < tokenizer.vocabularySize)
        throw new DomainError('failed_precondition', `${path}: the model has fewer token ids than its tokenizer`);
    }
  } catch (error) {
    members.forEach(disposeModel);
    throw error;
  }
  return describeEnsemble(file, members, tokenizer);
}

/** The tokenizer of such a folder alone, without any weights. @throws as {@link loadEnsemble} */
export async function loadEnsembleTokenizer(folder: string): Promise<Tokenizer> {
  return sharedTokenizer((await readFolder(folder)).paths);
}

/** Frees the members' weights. */
export function disposeEnsemble({ members }: RewardEnsemble): void {
  members.forEach(disposeModel);
}

function describeEnsemble(file: EnsembleFile, members: LanguageModel[], tokenizer: Tokenizer): RewardEnsemble {
  const memberDigests = members.map(({ digest }) => digest ?? '');
  const calibration = file.members.map(({ mean, scale }) => ({ mean, scale }));
  return {
    name: file.name,
    kind: file.kind,
    members,
    tokenizer,
    calibration,
    seeds: file.members.map(({ seed }) => seed),
    memberDigests,
    digest: digestText(JSON.stringify([memberDigests, calibration, tokenizer.digest])),
    maxTokens: Math.min(...members.map(({ config }) => config.maxPositions)),
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
