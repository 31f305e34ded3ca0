// Sampling with a cache of keys and values; no response ends early.
import { disposeModel, sample } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import { policy, texts } from '../models.mjs';
import { sampling, sizes } from '../sizes.mjs';

export function samplingWithCache({ size }) {
  const model = policy(sizes[size]);
  const prompts = texts(sizes[size], sampling.rows, sampling.prompt);
  const options = { maxNewTokens: sampling.response, eosTokenIds: [], batchSize: sampling.rows };
  return {
    run: async () =>
      void (await sample(model, prompts, { ...options, random: (row) => randomStream(1, 'bench', row) })),
    dispose: () => disposeModel(model),
  };
}
