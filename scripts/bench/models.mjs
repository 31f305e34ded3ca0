// The shapes that are measured: vocabulary, width, layers, heads, rows × tokens of a training step.
import { createModel, gpt2Config } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';

export const sizes = {
  '0.07 M': { vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, rows: 64, tokens: 18 },
  '0.94 M': { vocabularySize: 512, hiddenSize: 128, layers: 4, heads: 4, rows: 32, tokens: 32 },
};

export function model({ vocabularySize, hiddenSize, layers, heads }, head = 'causal-lm', seed = 1) {
  return createModel(
    gpt2Config({
      ...{ vocabularySize, hiddenSize, layers, heads, maxPositions: 128, head, tiedHead: false },
      ...{ eosTokenIds: [1], bosTokenId: 0 },
    }),
    seed,
  );
}

export function texts({ vocabularySize }, rows, tokens) {
  const random = randomStream(1, 'bench');
  return Array.from({ length: rows }, () => Int32Array.from({ length: tokens }, () => random.integer(vocabularySize)));
}
