import { parameterCount, type WeightForm } from '@surefoot/language-model';
import {
  loadEnsemble,
  scoreSequences,
  type Calibration,
  type MemberRange,
  type RewardEnsemble,
} from '@surefoot/reward';
import { DomainError } from '@surefoot/errors';
import { exposeToParent, transferring } from '@surefoot/service';
import { openBackend, type Backend, type BackendName, type BackendOptions } from '@surefoot/tensor';

/** The whole ensemble, as every thread with a share of it describes it. */
interface EnsembleIdentity {
  name: string;
  digest: string;
  kind: string;
  /** [K] */
  members: (Calibration & { seed: number; digest: string })[];
  tokenizerDigest: string;
  bosTokenId?: number;
  vocabularySize: number;
  maxTokens: number;
  /** What an operator should know of how this thread's weights are held. */
  warnings: string[];
}

/** What is loaded, and on what it computes. */
export interface LoadedModel extends EnsembleIdentity {
  backend: Backend;
  /** Threads that share the members. */
  computeThreads: number;
}

/** The functions of this thread. */
export type ComputeProcedures = {
  /** Opens this thread's backend. */
  open(input: { name: BackendName; options: BackendOptions }): Promise<Backend>;
  /** Loads its members of a model folder and warms them with a full batch. */
  load(input: {
    folder: string;
    range: MemberRange;
    weights: WeightForm;
    tokenBudget: number;
  }): Promise<EnsembleIdentity>;
  /** @param input.ids sequences one after the other @param input.lengths [N] @returns [N * members] raw scores */
  score(input: { ids: Int32Array; lengths: Int32Array }): Promise<Float32Array>;
};

let ensemble: RewardEnsemble | undefined;
let budget = 0;
/** Longest sequence of the batch that warms a model. */
const warmTokens = 64;
/** Multiplications and additions that warming may take: a second or two. */
const warmOperations = 5e10;

const procedures: ComputeProcedures = {
  open: ({ name, options }) => openBackend(name, options),
  async load({ folder, range, weights, tokenBudget }) {
    const warnings: string[] = [];
    ensemble = await loadEnsemble(folder, { range, weights, onWarning: (warning) => warnings.push(warning) });
    budget = tokenBudget;
    await warm(ensemble);
    const { name, digest, kind, configs, calibration, seeds, memberDigests, tokenizer, maxTokens } = ensemble;
    return {
      ...{ name, digest, kind, maxTokens, warnings },
      members: calibration.map(({ mean, scale }, k) => ({ mean, scale, seed: seeds[k]!, digest: memberDigests[k]! })),
      tokenizerDigest: tokenizer.digest,
      ...(tokenizer.bosTokenId !== undefined && { bosTokenId: tokenizer.bosTokenId }),
      vocabularySize: Math.min(...configs.map(({ vocabularySize }) => vocabularySize)),
    };
  },
  async score({ ids, lengths }) {
    if (!ensemble) throw new DomainError('failed_precondition', 'no model is loaded');
    let start = 0;
    const sequences = Array.from(lengths, (length) => ids.subarray(start, (start += length)));
    const scores = await scoreSequences(ensemble, sequences, { tokenBudget: budget });
    const flat = new Float32Array(scores.length * ensemble.members.count);
    scores.forEach((row, i) => flat.set(row, i * row.length));
    return transferring(flat, [flat.buffer]);
  },
};

/**
 * Takes the memory of a full batch, and lets the engine compile, before the first rollout comes; of as much of a batch as takes a
 * moment, and for a large model of none: it is not to be ready minutes later, and on no large batch that nobody sends.
 */
async function warm(loaded: RewardEnsemble): Promise<void> {
  const length = Math.min(loaded.maxTokens, warmTokens);
  const perToken = loaded.members.configs.reduce((sum, config) => sum + 2 * parameterCount(config), 0);
  const count = Math.floor(Math.min(budget, warmOperations / perToken) / length);
  if (count === 0) return;
  await scoreSequences(
    loaded,
    Array.from({ length: count }, () => new Int32Array(length)),
    { tokenBudget: budget },
  );
}

exposeToParent(procedures);
