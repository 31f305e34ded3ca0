import { beforeAll, describe, expect, test } from '@jest/globals';
import { logProbability } from '@surefoot/tensor';
import { fastTestBackends, goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { adapterParameters, createAdapter, freeze } from './adapter';
import { logits, rewardsOf } from './decoder';
import { loadModel } from './model-folder';
import { modelGradients } from './model-gradients';
import { disposeModel, trainableParameters, type LanguageModel } from './model';
import { randomSequences, tinyModel, watchBuffers } from './testing';
import { lastTokenRows, packSequences, responseRows } from './token-batch';

const names = ['gpt2', 'llama', 'gemma', 'gemma2', 'qwen2', 'mistral', 'llama-reward', 'gemma-reward'];
const available = goldenPath('models', 'gpt2') !== undefined;
const sequences = randomSequences([9, 4, 7]);

/** Gradients of the model's usual loss. */
function gradientsOf(model: LanguageModel, isCheckpointed: boolean, texts = sequences) {
  const batch = packSequences(texts);
  if (model.config.head === 'reward')
    return modelGradients(model, batch, lastTokenRows(batch), (x) => tf.mean(tf.square(rewardsOf(model, x))), {
      isCheckpointed,
    });
  const { rows, targets } = responseRows(batch, new Int32Array(batch.batch).fill(1));
  const loss = (x: tf.Tensor2D): tf.Scalar => tf.neg(tf.mean(logProbability(logits(model, x), targets)));
  return modelGradients(model, batch, rows, loss, { isCheckpointed });
}

async function expectEqual(model: LanguageModel) {
  await expect(async () => {
    const [whole, checkpointed] = [false, true].map((how) => gradientsOf(model, how)) as [
      ReturnType<typeof gradientsOf>,
      ReturnType<typeof gradientsOf>,
    ];
    expect(await checkpointed.value.data()).toEqual(await whole.value.data());
    expect(checkpointed.gradients).toHaveLength(trainableParameters(model).size);
    for (const [i, gradient] of whole.gradients.entries())
      expect(await checkpointed.gradients[i]!.data()).toBeAllclose(await gradient.data(), { atol: 1e-6, rtol: 1e-6 });
    tf.dispose([whole, checkpointed]);
  }).toNotLeakTensors();
}

describe.each(testBackends)('checkpointed gradients are the taped ones on $title', ({ title, open }) => {
  // Software graphics are slow.
  const isSlow = title.startsWith('webgpu');

  beforeAll(async () => {
    await open();
  });

  test.each(isSlow ? [{ tiedHead: false }] : [{ tiedHead: true }, { tiedHead: false }, { head: 'reward' as const }])(
    'of a small model, %j',
    async (kind) => {
      const model = tinyModel(kind);
      await expectEqual(model);
      disposeModel(model);
    },
  );

  test.each(isSlow ? ['gemma', 'llama-reward'] : names)('of %s, trained whole and under an adapter', async (name) => {
    if (!available) return;
    const model = await loadModel(goldenPath('models', name)!);
    await expectEqual(model);
    const adapted = createAdapter(model, { r: 2, targetModules: 'all-linear' }, 1);
    // B is 0 at first, and so would be every gradient in A.
    for (const parameter of adapterParameters(adapted.adapter).values())
      tf.tidy(() => parameter.assign(tf.add(parameter, tf.sin(tf.range(0, parameter.size)).reshape(parameter.shape))));
    await expectEqual(adapted);
    disposeModel(adapted);
  });

  test('where the first blocks are frozen, or all but the head', async () => {
    const model = tinyModel({ head: 'reward' });
    freeze(model);
    model.parameters.get('score.weight')!.trainable = true;
    await expectEqual(model);
    model.parameters.get('transformer.h.1.mlp.c_fc.weight')!.trainable = true;
    await expectEqual(model);
    disposeModel(model);
  });
});

test('a loss that leaves a parameter out is an error either way', () => {
  const model = tinyModel({ head: 'reward' });
  const batch = packSequences(sequences);
  for (const isCheckpointed of [false, true])
    expect(() => modelGradients(model, batch, lastTokenRows(batch), (x) => tf.mean(x), { isCheckpointed })).toThrow(
      /the loss does not depend on parameter/,
    );
  disposeModel(model);
});

// A software GPU frees late; the composed kernels keep there what they keep on tensorflow.
const backends = fastTestBackends.filter(({ title }) => !title.startsWith('webgpu'));

describe.each(backends)('memory on $title', ({ open }) => {
  test('eight blocks checkpointed hold less than half of what eight blocks taped hold', async () => {
    await open();
    const peaks = watchBuffers();
    const model = tinyModel({ layers: 8, hiddenSize: 32 });
    freeze(model);
    const adapted = createAdapter(model, { r: 2 }, 1);
    const texts = randomSequences(Array(16).fill(24));
    const [whole, checkpointed] = [
      await peaks.during(() => tf.dispose(gradientsOf(adapted, false, texts))),
      await peaks.during(() => tf.dispose(gradientsOf(adapted, true, texts))),
    ];
    expect(checkpointed).toBeLessThan(whole / 2);
    peaks.stop();
    disposeModel(adapted);
  });
});
