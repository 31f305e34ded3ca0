// Scoring a batch by one reward model, by ten in a loop (as the service does), by ten heads on one trunk, and by ten adapters.
import { createAdapter, disposeAdapter, disposeModel, mergeAdapter, unmergeAdapter } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import { headsOnTrunk, scoreSequences, wholeModels } from '@surefoot/reward';
import { members, policy, texts } from '../models.mjs';
import { memberCount, scoring, sizes } from '../sizes.mjs';
import { tf } from './tfjs.mjs';

export const oneScorer = ({ size }) => scorers(size, 1);
export const tenScorers = ({ size }) => scorers(size, memberCount);

function scorers(size, count) {
  const ensemble = { members: wholeModels(members(sizes[size], 0, count)), maxTokens: scoring.tokens };
  const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
  return {
    run: async () => void (await scoreSequences(ensemble, sequences)),
    dispose: () => ensemble.members.dispose(),
  };
}

export function tenHeads({ size }) {
  const trunk = policy(sizes[size]);
  const { hiddenSize } = sizes[size];
  const random = randomStream(1, 'bench');
  const values = Float32Array.from({ length: memberCount * hiddenSize }, () => 0.02 * random.normal());
  const heads = headsOnTrunk(trunk, tf.tensor2d(values, [memberCount, hiddenSize]));
  const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
  return {
    run: async () => void (await scoreSequences({ members: heads, maxTokens: scoring.tokens }, sequences)),
    dispose: () => heads.dispose(),
  };
}

export const tenAdapters = ({ size }) => adapters(size, false);
export const tenMergedAdapters = ({ size }) => adapters(size, true);

/** Of rank 8 on all linear modules, the defaults of a fit. */
function adapters(size, isMerged) {
  const [base] = members(sizes[size], 0, 1);
  const adapted = Array.from({ length: memberCount }, (_, seed) => createAdapter(base, { r: 8 }, seed));
  const merged = isMerged ? adapted.map(mergeAdapter) : [];
  const ensemble = { members: wholeModels(isMerged ? merged : adapted), maxTokens: scoring.tokens };
  const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
  return {
    run: async () => void (await scoreSequences(ensemble, sequences)),
    dispose() {
      merged.forEach((model) => unmergeAdapter(model, base));
      adapted.forEach(disposeAdapter);
      disposeModel(base);
    },
  };
}
