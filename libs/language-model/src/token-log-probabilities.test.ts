import { beforeAll, describe, expect, test } from '@jest/globals';
import { entropy, logProbability, valueAndGradients } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { adapterParameters } from './adapter';
import {
  createAdapter,
  createModel,
  disposeModel,
  logits,
  parseModelConfig,
  tokenLogProbabilities,
  type LanguageModel,
} from './index';
import { watchBuffers } from './testing';
import { largeVocabulary, vocabularyChunk } from './vocabulary-size';

// Wider than what is gone through in one piece; the targets lie in the first, a middle and the last chunk.
const vocabularySize = largeVocabulary + 500;
const targets = Int32Array.of(3, 40_000, vocabularySize - 1);
const sizes = { hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, head_dim: 4 };
const cases = {
  'a tied head with capped logits': { model_type: 'gemma2', num_key_value_heads: 1, final_logit_softcapping: 0.3 },
  'a head of its own': { model_type: 'llama', tie_word_embeddings: false },
  'a head under an adapter': { model_type: 'llama', tie_word_embeddings: false },
};

/** With an adapter on the head whose change is not 0. */
function withAdapter(model: LanguageModel): LanguageModel {
  const adapted = createAdapter(model, { r: 2, targetModules: ['lm_head'] }, 1);
  for (const { b } of adapted.adapter.pairs.values())
    tf.tidy(() => b.assign(tf.reshape(tf.mul(0.05, tf.sin(tf.range(0, b.size))), b.shape)));
  return adapted;
}

// A GPU in software takes half a minute; the tensor lib goes through small vocabularies on it in the same way.
const backends = fastTestBackends.filter(({ title }) => !title.startsWith('webgpu'));

describe.each(backends)('over a large vocabulary on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test.each(Object.entries(cases))('%s gives what all logits at once give', async (title, fields) => {
    const raw = { ...sizes, ...fields, vocab_size: vocabularySize, max_position_embeddings: 8 };
    const plain = createModel(parseModelConfig(raw, 'here'), 1);
    const model = title.includes('adapter') ? withAdapter(plain) : plain;
    const hidden = tf.variable(tf.tensor2d([1, -2, 3, 4, 0, 5, -6, 7, 8, -9, 1, 2], [3, 4]));
    const trained = [hidden, ...(model.adapter ? adapterParameters(model.adapter).values() : [])];
    const options = { temperature: 0.7, withEntropy: true };
    const direct = () => {
      const scores = logits(model, hidden as tf.Tensor as tf.Tensor2D, 0.7);
      return { logProbability: logProbability(scores, targets), entropy: entropy(scores) };
    };
    const chunked = () => tokenLogProbabilities(model, hidden as tf.Tensor as tf.Tensor2D, targets, options);
    const [got, want] = [chunked, direct].map((both) =>
      valueAndGradients(() => {
        const { logProbability, entropy } = both();
        return tf.add(tf.sum(logProbability), tf.sum(entropy!)) as tf.Scalar;
      }, trained),
    );
    expect(await got!.value.data()).toBeAllclose(await want!.value.data(), { atol: 5e-5 });
    for (const i of trained.keys())
      expect(await got!.gradients[i]!.data()).toBeAllclose(await want!.gradients[i]!.data(), { atol: 1e-5 });
    // Not one result has the size of all logits.
    const rows = tf.zeros<tf.Rank.R2>([64, 4]);
    const buffers = watchBuffers();
    tf.dispose(tf.tidy(() => ({ ...tokenLogProbabilities(model, rows, new Int32Array(64), options) })));
    expect(buffers.largest()).toBe(4 * 64 * vocabularyChunk);
    buffers.stop();
    rows.dispose();
    tf.dispose([hidden, got, want] as tf.TensorContainer);
    disposeModel(model);
  });
});
