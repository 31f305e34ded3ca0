// Models and texts of a size, random and always the same.
import { createModel, gpt2Config } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import { memberCount } from './sizes.mjs';

/** A policy with a head of its own. */
export function policy({ vocabularySize, hiddenSize, layers, heads }, { maxPositions = 128 } = {}) {
  const geometry = { vocabularySize, hiddenSize, layers, heads, maxPositions };
  return createModel(gpt2Config({ ...geometry, head: 'causal-lm', tiedHead: false, eosTokenIds: [1] }), 1);
}

/** Reward models that differ in their seed; `from` and `to` name some of them. */
export function members({ vocabularySize, hiddenSize, layers, heads }, from = 0, to = memberCount) {
  const config = gpt2Config({
    ...{ vocabularySize, hiddenSize, layers, heads, maxPositions: 128 },
    ...{ head: 'reward', eosTokenIds: [1] },
  });
  return Array.from({ length: to - from }, (_, index) => createModel(config, from + index));
}

/** Token sequences of one length. */
export function texts({ vocabularySize }, rows, tokens) {
  const random = randomStream(1, 'bench');
  return Array.from({ length: rows }, () => Int32Array.from({ length: tokens }, () => random.integer(vocabularySize)));
}
