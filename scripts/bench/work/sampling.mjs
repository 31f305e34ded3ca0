// Sampling with a cache of keys and values; no response ends early.
import { disposeModel, hiddenStates, lastTokenRows, logits, packSequences, sample } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { policy, texts } from '../models.mjs';
import { generation, sampling, sizes } from '../sizes.mjs';

export function samplingWithCache({ size }) {
  return withCache(size, sampling, {});
}

/** The likeliest tokens, many of them. */
export function generationWithCache({ size }) {
  return withCache(size, generation, { greedy: true });
}

/** Without a cache a token takes the whole text through the model: here one of every `sparse`, at its length of the text. */
export function generationWithoutCache({ size }) {
  const { rows, prompt, response, sparse } = generation;
  const model = policy(sizes[size], { maxPositions: prompt + response });
  const whole = texts(sizes[size], rows, prompt + response);
  const run = async () => {
    for (let length = prompt + sparse / 2; length < prompt + response; length += sparse) {
      const batch = packSequences(whole.map((ids) => ids.subarray(0, length)));
      const best = tf.tidy(() => tf.argMax(logits(model, hiddenStates(model, batch, lastTokenRows(batch))), 1));
      await best.data();
      best.dispose();
    }
  };
  return { run, dispose: () => disposeModel(model) };
}

function withCache(size, { rows, prompt, response }, choice) {
  const model = policy(sizes[size], { maxPositions: Math.max(128, prompt + response) });
  const prompts = texts(sizes[size], rows, prompt);
  const options = { ...choice, maxNewTokens: response, eosTokenIds: [], batchSize: rows };
  return {
    run: async () =>
      void (await sample(model, prompts, { ...options, random: (row) => randomStream(1, 'bench', row) })),
    dispose: () => disposeModel(model),
  };
}
