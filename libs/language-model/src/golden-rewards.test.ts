import { beforeAll, describe, expect } from '@jest/globals';
import { testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { batchStates } from './decoder';
import { batchOf, expectChecksums, expectStates, goldenTest, rewardModels, rowsOf, tolerance } from './golden-testing';
import { hiddenStates, rewardScores, rewardsOf } from './index';

describe.each(testBackends)('on $title', ({ open }) => {
  beforeAll(async () => {
    await open();
  });

  describe.each(rewardModels)('%s scores as the reference does', (name) => {
    goldenTest('loaded parameters', name, async (model, { loaded_parameters }) => {
      await expectChecksums(model, loaded_parameters, tolerance.loaded, tolerance.loaded);
    });

    // One of the cases has the pad id in mid-text, which does not end a sequence here.
    goldenTest('hidden states, scores at the last and at every position', name, async (model, { forward }) => {
      for (const each of forward) {
        const batch = batchOf(each);
        await expectStates(
          tf.tidy(() => batchStates(model, batch)),
          each,
        );
        const last = tf.tidy(() => rewardScores(model, batch));
        expect(await last.data()).toBeAllclose(each.scores.data, tolerance.logits);
        const all = tf.tidy(() => rewardsOf(model, hiddenStates(model, batch)));
        const got = { shape: each.input_ids.shape, data: [...(await all.data())] };
        const want = rowsOf(each.scores_at_every_position, each).flat();
        expect(rowsOf(got, each).flat()).toBeAllclose(want, tolerance.logits);
        tf.dispose([last, all]);
      }
    });
  });
});
