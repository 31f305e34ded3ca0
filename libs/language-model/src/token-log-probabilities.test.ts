import { beforeAll, describe, expect, test } from '@jest/globals';
import { entropy, logProbability, valueAndGradients } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { createModel, disposeModel, logits, parseModelConfig, tokenLogProbabilities } from './index';
import { largeVocabulary } from './vocabulary-size';

// Wider than what is gone through in one piece; the targets lie in the first, a middle and the last chunk.
const vocabularySize = largeVocabulary + 500;
const targets = Int32Array.of(3, 40_000, vocabularySize - 1);
const sizes = { hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, head_dim: 4 };
const cases = {
  'a tied head with capped logits': { model_type: 'gemma2', num_key_value_heads: 1, final_logit_softcapping: 0.3 },
  'a head of its own': { model_type: 'llama', tie_word_embeddings: false },
};

describe.each(fastTestBackends)('over a large vocabulary on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  test.each(Object.entries(cases))('%s gives what all logits at once give', async (_, fields) => {
    const raw = { ...sizes, ...fields, vocab_size: vocabularySize, max_position_embeddings: 8 };
    const model = createModel(parseModelConfig(raw, 'here'), 1);
    const hidden = tf.variable(tf.tensor2d([1, -2, 3, 4, 0, 5, -6, 7, 8, -9, 1, 2], [3, 4]));
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
      }, [hidden]),
    );
    expect(await got!.value.data()).toBeAllclose(await want!.value.data(), { atol: 5e-5 });
    expect(await got!.gradients[0]!.data()).toBeAllclose(await want!.gradients[0]!.data(), { atol: 1e-5 });
    tf.dispose([hidden, got, want] as tf.TensorContainer);
    disposeModel(model);
  });
});
