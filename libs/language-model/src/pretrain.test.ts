import { beforeAll, describe, expect, test } from '@jest/globals';
import { testBackends } from '@surefoot/tensor/testing';
import { disposeModel, sequenceLogProbabilities, trainNextToken } from './index';
import { randomSequences, tinyModel } from './testing';

const options = {
  ...{ steps: 60, batchSize: 8, learningRate: 1e-2, warmupSteps: 5, finalFraction: 0.1 },
  ...{ weightDecay: 0.01, seed: 3 },
};
// Every token but the first is the one before it plus 1, so all of it can be learnt.
const counting = Array.from({ length: 20 }, (_, i) =>
  Int32Array.from({ length: 4 + (i % 5) }, (_value, t) => (i + t) % 13),
);

describe.each(testBackends)('trainNextToken on $title', ({ title, open }) => {
  // A GPU in software takes a second for a step.
  const [steps, goal] = title.startsWith('webgpu') ? [15, 1.5] : [60, 0.2];

  beforeAll(async () => {
    await open();
  });

  test('learns a text that can be predicted', async () => {
    const model = tinyModel();
    const losses: number[] = [];
    const { finalLoss } = await trainNextToken(model, counting, {
      ...options,
      steps,
      onStep: (step, loss) => {
        expect(step).toBe(losses.length);
        losses.push(loss);
      },
    });
    expect(losses).toHaveLength(steps);
    expect(finalLoss).toBe(losses.at(-1));
    expect(losses[0]!).toBeGreaterThan(2);
    expect(finalLoss).toBeLessThan(goal);
    disposeModel(model);
  });

  test('the first loss is the mean of -log p over real tokens, padding left out', async () => {
    const model = tinyModel();
    const { logProbabilities } = await sequenceLogProbabilities(model, counting);
    const all = logProbabilities.flatMap((row) => [...row]);
    const mean = -all.reduce((sum, logp) => sum + logp, 0) / all.length;
    const { finalLoss } = await trainNextToken(model, counting, {
      ...options,
      steps: 1,
      warmupSteps: 0,
      batchSize: 99,
    });
    expect([finalLoss]).toBeAllclose([mean]);
    disposeModel(model);
  });

  test('the same seed gives the same bits, and nothing leaks', async () => {
    const results: number[][] = [];
    await expect(async () => {
      for (let run = 0; run < 2; run++) {
        const model = tinyModel();
        // Fewer steps than the warm-up has: all of them are warm-up.
        await trainNextToken(model, counting, { ...options, steps: 3 });
        results.push([...(await model.parameters.get('transformer.wte.weight')!.data())]);
        disposeModel(model);
      }
    }).toNotLeakTensors();
    expect(results[1]).toEqual(results[0]);
  });

  test.each([
    ['no text', [], {}, 'no text'],
    ['a sequence of one token', randomSequences([3, 1]), {}, 'sequence 1 has fewer than 2 tokens'],
    ['no steps', counting, { steps: 0 }, 'steps is 0'],
    ['a NaN learning rate', counting, { learningRate: NaN }, 'NaN'],
  ])('%s is refused', async (_, sequences, changed, message) => {
    const model = tinyModel();
    await expect(trainNextToken(model, sequences, { ...options, ...changed })).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringContaining(message),
    });
    disposeModel(model);
  });
});
