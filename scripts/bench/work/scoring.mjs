// Scoring a batch by one reward model, by ten in a loop (as the service does), and by ten heads on one trunk.
import { linear, randomStream } from '@surefoot/tensor';
import { disposeModel, hiddenStates, packSequences } from '@surefoot/language-model';
import { scoreSequences } from '@surefoot/reward';
import { members, policy, texts } from '../models.mjs';
import { memberCount, scoring, sizes } from '../sizes.mjs';
import { tf } from './tfjs.mjs';

export const oneScorer = ({ size }) => scorers(size, 1);
export const tenScorers = ({ size }) => scorers(size, memberCount);

function scorers(size, count) {
  const ensemble = { members: members(sizes[size], 0, count), maxTokens: scoring.tokens };
  const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
  return {
    run: async () => void (await scoreSequences(ensemble, sequences)),
    dispose: () => ensemble.members.forEach(disposeModel),
  };
}

export function tenHeads({ size }) {
  const trunk = policy(sizes[size]);
  const { hiddenSize } = sizes[size];
  const random = randomStream(1, 'bench');
  const heads = tf.tensor2d(
    Float32Array.from({ length: memberCount * hiddenSize }, () => 0.02 * random.normal()),
    [memberCount, hiddenSize],
  );
  const batch = packSequences(texts(sizes[size], scoring.rows, scoring.tokens));
  const lastRows = batch.lengths.map((length, row) => row * batch.width + length - 1);
  return {
    run: async () => {
      const scores = tf.tidy(() => linear(hiddenStates(trunk, batch, lastRows), heads, { transposeWeight: true }));
      await scores.data();
      scores.dispose();
    },
    dispose: () => {
      heads.dispose();
      disposeModel(trunk);
    },
  };
}
