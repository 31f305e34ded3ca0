import { disposeEnsemble, loadEnsemble, scoreSequences, type Calibration, type RewardEnsemble } from '@surefoot/reward';
import { DomainError } from '@surefoot/errors';
import { exposeToParent, transferring } from '@surefoot/service';
import { openBackend, type BackendName } from '@surefoot/tensor';

/** What the thread says about what it has loaded. */
export interface LoadedModel {
  name: string;
  digest: string;
  kind: string;
  /** [K] */
  members: (Calibration & { seed: number; digest: string })[];
  tokenizerDigest: string;
  vocabularySize: number;
  maxTokens: number;
  /** What computes and why, for the log. */
  backend: { name: string; kernelBuild: string; reason: string };
}

/** The functions of this thread. */
export type ComputeProcedures = {
  /** Opens the backend, loads the model folder and warms it with a full batch. */
  load(input: { folder: string; backend: BackendName; tokenBudget: number }): Promise<LoadedModel>;
  /** @param input.ids sequences one after the other @param input.lengths [N] @returns [N * K] raw scores */
  score(input: { ids: Int32Array; lengths: Int32Array }): Promise<Float32Array>;
};

let ensemble: RewardEnsemble | undefined;
let budget = 0;
/** Longest sequence of the batch that warms a model. */
const warmTokens = 64;

const procedures: ComputeProcedures = {
  async load({ folder, backend, tokenBudget }) {
    const opened = await openBackend(backend);
    if (ensemble) disposeEnsemble(ensemble);
    ensemble = await loadEnsemble(folder);
    budget = tokenBudget;
    await warm(ensemble);
    const { name, digest, kind, members, calibration, seeds, memberDigests, tokenizer, maxTokens } = ensemble;
    return {
      ...{ name, digest, kind, maxTokens },
      members: calibration.map(({ mean, scale }, k) => ({ mean, scale, seed: seeds[k]!, digest: memberDigests[k]! })),
      tokenizerDigest: tokenizer.digest,
      vocabularySize: Math.min(...members.map(({ config }) => config.vocabularySize)),
      backend: { name: opened.name, kernelBuild: opened.kernelBuild, reason: opened.reason },
    };
  },
  async score({ ids, lengths }) {
    if (!ensemble) throw new DomainError('failed_precondition', 'no model is loaded');
    let start = 0;
    const sequences = Array.from(lengths, (length) => ids.subarray(start, (start += length)));
    const scores = await scoreSequences(ensemble, sequences, { tokenBudget: budget });
    const flat = new Float32Array(scores.length * ensemble.members.length);
    scores.forEach((row, i) => flat.set(row, i * row.length));
    return transferring(flat, [flat.buffer]);
  },
};

/** Takes the memory of a full batch, and lets the engine compile, before the first rollout comes. */
async function warm(loaded: RewardEnsemble): Promise<void> {
  const length = Math.min(loaded.maxTokens, warmTokens);
  const count = Math.max(1, Math.floor(budget / length));
  await scoreSequences(
    loaded,
    Array.from({ length: count }, () => new Int32Array(length)),
    { tokenBudget: budget },
  );
}

exposeToParent(procedures);
