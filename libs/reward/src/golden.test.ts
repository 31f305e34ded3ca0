import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  disposeModel,
  hiddenStates,
  loadModel,
  packSequences,
  rewardsOf,
  type LanguageModel,
} from '@surefoot/language-model';
import { createAdamW } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import type { EncodedPair } from './encode-pairs';
import { disposeEnsemble, loadEnsemble } from './ensemble';
import { preferenceLoss } from './preference-loss';
import { scoreSequences } from './score-sequences';
import { batchGradients } from './train-member';

interface Numbers {
  shape: number[];
  data: number[];
}
type Side = Record<'input_ids' | 'attention_mask', Numbers>;
interface Gradients {
  loss: number;
  grad_norms: Record<string, number>;
  global_grad_norm: number;
  grads: Record<string, Numbers>;
}

// References: transformers 5.23.0, peft 0.21.2, torch 2.15.0; tolerances as measured (goldens/README.md).
const tolerance = {
  score: { atol: 5e-5, rtol: 1e-5 },
  loss: { atol: 1e-5, rtol: 5e-6 },
  gradient: { atol: 1e-5, rtol: 1e-4 },
  gradientNorm: { atol: 1e-5, rtol: 5e-5 },
  adamwSum: { atol: 3e-4, rtol: 1e-5 },
  adamwSumOfSquares: { atol: 1e-5, rtol: 2e-6 },
  adamwValue: { atol: 2e-5, rtol: 1e-5 },
};
const available = goldenPath('models', 'llama-reward') !== undefined;
const read = (...path: string[]) => JSON.parse(readFileSync(goldenPath('golden', ...path)!, 'utf8'));
const goldenTest = available ? test : test.skip;

/** The rows without their padding. */
function sequencesOf({ input_ids: ids, attention_mask: mask }: Side): Int32Array[] {
  const [rows, width] = ids.shape as [number, number];
  return Array.from({ length: rows }, (_, row) =>
    Int32Array.from(ids.data.slice(row * width, (row + 1) * width).filter((_, i) => mask.data[row * width + i] === 1)),
  );
}

function pairsOf({ chosen, rejected }: { chosen: Side; rejected: Side }, margins?: Numbers): EncodedPair[] {
  const losers = sequencesOf(rejected);
  return sequencesOf(chosen).map((winner, i) => ({
    ...{ chosen: winner, rejected: losers[i]!, margin: margins?.data[i] ?? 0 },
  }));
}

async function scoresOf(folder: string, batches: Side[], adapter?: string): Promise<number[][]> {
  const ensemble = await loadEnsemble(folder, { adapter });
  const scores: number[][] = [];
  for (const batch of batches)
    scores.push((await scoreSequences(ensemble, sequencesOf(batch))).map(([score]) => score!));
  disposeEnsemble(ensemble);
  return scores;
}

async function expectGradients(gradients: tf.Tensor[], parameters: Iterable<string>, golden: Gradients): Promise<void> {
  let sum = 0;
  for (const [i, name] of [...parameters].entries()) {
    const values = (await gradients[i]!.data()) as Float32Array;
    const square = values.reduce((total, value) => total + value * value, 0);
    sum += square;
    expect([Math.sqrt(square)]).toBeAllclose([golden.grad_norms[name]!], tolerance.gradientNorm);
    if (golden.grads[name]) expect(values).toBeAllclose(golden.grads[name].data, tolerance.gradient);
  }
  expect([Math.sqrt(sum)]).toBeAllclose([golden.global_grad_norm], tolerance.gradientNorm);
}

describe.each(testBackends)('on $title', ({ title, open }) => {
  beforeAll(async () => {
    await open();
  });
  // Many times slower: what a pass of any family gives on them, libs/language-model compares.
  const isSlow = /plain|webgpu/.test(title);

  describe.each(isSlow ? ['llama-reward'] : ['llama-reward', 'gemma-reward'])('%s', (name) => {
    const withModel = (run: (model: LanguageModel, golden: ReturnType<typeof read>) => Promise<void>) => async () => {
      await expect(async () => {
        const model = await loadModel(goldenPath('models', name)!, { head: 'reward' });
        await run(model, read('models', `${name}.json`));
        disposeModel(model);
      }).toNotLeakTensors();
    };

    goldenTest('scores texts and pairs', async () => {
      const { forward, bradley_terry: pairs } = read('models', `${name}.json`);
      const batches = [...forward, pairs.chosen, pairs.rejected];
      const scores = await scoresOf(goldenPath('models', name)!, batches);
      const expected = [
        ...forward.map(({ scores: own }: { scores: Numbers }) => own),
        pairs.scores_chosen,
        pairs.scores_rejected,
      ];
      scores.forEach((own, i) => expect(own).toBeAllclose(expected[i].data, tolerance.score));
    });

    goldenTest(
      'scores every position',
      withModel(async (model, { forward }) => {
        for (const batch of forward) {
          const sequences = sequencesOf(batch);
          const packed = packSequences(sequences);
          const scores = tf.tidy(() => rewardsOf(model, hiddenStates(model, packed)));
          const values = await scores.data();
          scores.dispose();
          const [, width] = batch.input_ids.shape as [number, number];
          const { data } = batch.scores_at_every_position as Numbers;
          sequences.forEach(({ length }, row) =>
            expect(values.slice(row * packed.width, row * packed.width + length)).toBeAllclose(
              data.slice(row * width, row * width + length),
              tolerance.score,
            ),
          );
        }
      }),
    );

    goldenTest(
      'has the Bradley–Terry loss and its gradients, with margin and centring and without',
      withModel(async (model, { bradley_terry: golden }) => {
        for (const [kind, margins, centring] of [
          ['plain', undefined, 0],
          ['with_margin_and_centring', golden.margin, golden.center_coefficient],
        ] as const) {
          const settings = { centring, tokenBudget: 8192 };
          const { loss, gradients } = await batchGradients(model, pairsOf(golden, margins), settings);
          expect([loss]).toBeAllclose([golden[kind].loss], tolerance.loss);
          await expectGradients(gradients, model.parameters.keys(), golden[kind]);
          tf.dispose(gradients);
        }
      }),
    );

    goldenTest('has the gradients of the loss in the scores', async () => {
      const { bradley_terry: golden } = read('models', `${name}.json`);
      const scores = [...golden.scores_chosen.data, ...golden.scores_rejected.data] as number[];
      const margins = Float32Array.from(golden.margin.data as number[]);
      const gradient = tf.tidy(() =>
        tf.grad((x) => preferenceLoss(x as tf.Tensor1D, margins, golden.center_coefficient).div(margins.length))(
          tf.tensor1d(scores),
        ),
      );
      const { grad_scores_chosen: chosen, grad_scores_rejected: rejected } = golden.with_margin_and_centring;
      expect(await gradient.data()).toBeAllclose([...chosen.data, ...rejected.data], tolerance.gradient);
      gradient.dispose();
    });

    goldenTest(
      'is where three steps of AdamW lead',
      withModel(async (model, { adamw: golden }) => {
        const { lr, betas, eps: epsilon, weight_decay: weightDecay } = golden.optimizer;
        const [beta1, beta2] = betas as [number, number];
        const optimiser = createAdamW([...model.parameters.values()], { beta1, beta2, epsilon, weightDecay });
        const settings = { centring: 0, tokenBudget: 8192 };
        for (const [i, batch] of golden.batches.entries()) {
          const { loss, gradients } = await batchGradients(model, pairsOf(batch), settings);
          expect([loss]).toBeAllclose([golden.steps[i].loss_before_step], tolerance.loss);
          optimiser.step(gradients, lr);
          tf.dispose(gradients);
          for (const [parameter, sums] of Object.entries<{ sum: number; sum_of_squares: number }>(
            golden.steps[i].parameters_after_step,
          )) {
            const values = (await model.parameters.get(parameter)!.data()) as Float32Array;
            const total = (of: (x: number) => number) => values.reduce((sum, x) => sum + of(x), 0);
            expect([total((x) => x)]).toBeAllclose([sums.sum], tolerance.adamwSum);
            expect([total((x) => x * x)]).toBeAllclose([sums.sum_of_squares], tolerance.adamwSumOfSquares);
          }
        }
        optimiser.dispose();
        const { loss, gradients } = await batchGradients(model, pairsOf(golden.batches[0]), settings);
        tf.dispose(gradients);
        expect([loss]).toBeAllclose([golden.loss_of_first_batch_at_end], tolerance.loss);
        for (const [parameter, values] of Object.entries<Numbers>(golden.final_values))
          expect(await model.parameters.get(parameter)!.data()).toBeAllclose(values.data, tolerance.adamwValue);
      }),
    );
  });

  describe.each(isSlow ? ['llama-reward-qv'] : ['llama-reward-qv', 'llama-reward-all-linear'])(
    'the adapter %s',
    (name) => {
      goldenTest('scores merged into its base, and without it the base scores', async () => {
        const golden = read('adapters', `${name}.json`);
        const base = goldenPath('models', golden.base)!;
        const [scores] = await scoresOf(base, [golden], goldenPath('adapters', name)!);
        expect(scores!).toBeAllclose(golden.merged.scores.data, tolerance.score);
        expect(scores!).toBeAllclose(golden.unmerged.scores.data, tolerance.score);
        const [plain] = await scoresOf(base, [golden]);
        expect(plain!).toBeAllclose(golden.adapter_switched_off.scores.data, tolerance.score);
      });

      goldenTest('has the gradients of its own parameters', async () => {
        const golden = read('adapters', `${name}.json`);
        const model = await loadModel(goldenPath('models', golden.base)!, { adapter: goldenPath('adapters', name)! });
        const settings = { centring: 0, tokenBudget: 8192 };
        const { loss, gradients } = await batchGradients(model, pairsOf(golden.gradients.batch), settings);
        expect([loss]).toBeAllclose([golden.gradients.loss], tolerance.loss);
        let sum = 0;
        for (const gradient of gradients)
          sum += ((await gradient.data()) as Float32Array).reduce((square, g) => square + g * g, 0);
        expect([Math.sqrt(sum)]).toBeAllclose([golden.gradients.global_grad_norm], tolerance.gradientNorm);
        tf.dispose(gradients);
        disposeModel(model);
      });
    },
  );
});
