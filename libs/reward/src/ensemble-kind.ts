import { DomainError } from '@surefoot/errors';
import type { HeldWeights, Tokenizer, WeightForm } from '@surefoot/language-model';
import type { EncodedPair } from './encode-pairs';
import type { EnsembleFile, EnsembleKind } from './ensemble-file';
import type { OnStep } from './fit-to-pairs';
import type { FitOptions, ResolvedFit } from './fit-settings';
import type { OnWarning } from './load-frozen';
import type { LoadedMembers } from './loaded-members';

/** Some of an ensemble's members: from the first to before the last. */
export interface MemberRange {
  /** Counted from 0. */
  from: number;
  /** The member after the last of them. */
  to: number;
}

/** What is to be loaded of an ensemble folder. */
export interface LoadPlan {
  folder: string;
  file: EnsembleFile;
  range: MemberRange;
  weights: WeightForm;
  onWarning?: OnWarning;
}

/** Where a member of a fit belongs. */
export interface MemberPlace {
  /** Its folder, inside the ensemble's. */
  path: string;
  seed: number;
}

/** A member of a fit that is there, for scoring. */
export interface FittedMember {
  /** As `ensemble.json` notes it. */
  sha256: string;
  /** Raw scores [N]. */
  score(sequences: Int32Array[]): Promise<number[]>;
  dispose(): void;
}

/** A fit of one kind of members, in one thread. */
export interface MemberFit {
  tokenizer: Tokenizer;
  /** Most tokens of prompt and response together. */
  maxTokens: number;
  /** sha256 of the base model's weights; null where members start from scratch. */
  baseDigest: string | null;
  /** Makes what the members share, where it is not there yet; one thread does so before any fits a member. */
  prepare(pairs: EncodedPair[], onStep: OnStep): Promise<void>;
  /** How the weights are held that members are fitted on and do not train, after `prepare`; it decides last bits. */
  form(): Promise<HeldWeights['form']>;
  /** Fits a member and publishes its folder. @throws DomainError diverged */
  fit(place: MemberPlace, pairs: EncodedPair[], onStep: OnStep): Promise<void>;
  /** Loads a member as users will. */
  open(place: MemberPlace): Promise<FittedMember>;
  /** What `ensemble.json` says of the base. */
  base(): Promise<Pick<EnsembleFile, 'base' | 'baseSha256'>>;
  dispose(): void;
}

/** What differs between ensembles: how members are fitted, and how they are loaded. */
export interface KindOfEnsemble {
  /** Whether threads may share the members, each with some; otherwise one has all. */
  isDivisible(folder: string, file: EnsembleFile): Promise<boolean>;
  /** The model folders that a batch goes through: with tokenizer, and with config.json. One, or one of each member. */
  modelFolders(folder: string, file: EnsembleFile): string[];
  /** @throws DomainError failed_precondition where weights are not those that `ensemble.json` names; as `loadModel` */
  load(plan: LoadPlan): Promise<LoadedMembers & { digests: string[] }>;
  /** Writes nothing. @throws DomainError about what members start from */
  openFit(options: FitOptions, fit: ResolvedFit): Promise<MemberFit>;
}

/** By the name that `ensemble.json` has. */
export type KindsOfEnsemble = Record<EnsembleKind, KindOfEnsemble>;

/** @throws DomainError failed_precondition where weights are others than were noted; what was not noted is not checked */
export function assertDigest(folder: string, found: string | undefined, noted: string | undefined): void {
  if (noted && found !== undefined && found !== noted)
    throw new DomainError('failed_precondition', `${folder}: the weights are not those that ensemble.json names`);
}
