// Time of one PPO iteration's maths (prepareRollouts and ppoUpdate) on the shapes of the built-in task, beside a plain next-token
// training step of the same model measured in the same minute: the ratio holds whatever else the machine does.
// node libs/ppo/bench/iteration.mjs [repetitions]   after a build
import { cloneModel, createModel, gpt2Config, trainNextToken } from '@surefoot/language-model';
import { createLearner, ppoUpdate, prepareRollouts, resolvePpoConfig } from '@surefoot/ppo';
import { openBackend, randomStream } from '@surefoot/tensor';

const repetitions = Number(process.argv[2] ?? 20);
const shape = { rollouts: 64, prompt: 6, response: 12, members: 10 };
const geometry = { vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, maxPositions: 32 };

const backend = await openBackend('auto');
const policy = createModel(gpt2Config({ ...geometry, head: 'causal-lm', eosTokenIds: [1] }), 1);
const learner = createLearner(policy, cloneModel(policy), resolvePpoConfig({ earlyStopKl: 0 }), 1);
const random = randomStream(1, 'bench');
const ids = (length) => Int32Array.from({ length }, () => random.integer(geometry.vocabularySize));
const rollouts = Array.from({ length: shape.rollouts }, () => ({
  promptIds: ids(shape.prompt),
  responseIds: ids(shape.response),
  hasEos: true,
}));
const scores = rollouts.map(() => ({
  members: Float64Array.from({ length: shape.members }, () => random.normal()),
  variance: random.uniform(),
}));

const least = { prepare: Infinity, update: Infinity, trainingStep: Infinity };
const timed = async (name, run) => {
  const start = performance.now();
  const result = await run();
  least[name] = Math.min(least[name], performance.now() - start);
  return result;
};

const texts = rollouts.map(() => ids(shape.prompt + shape.response));
const training = { batchSize: 64, learningRate: 1e-4, warmupSteps: 0, finalFraction: 1, weightDecay: 0, seed: 1 };
const other = cloneModel(policy);
for (let repetition = 0; repetition < repetitions; repetition++) {
  const prepared = await timed('prepare', () => prepareRollouts(learner, rollouts));
  await timed('update', () => ppoUpdate(learner, prepared, scores));
  // The first step of a call pays for new moments; the least over single steps within one call does not.
  let last = performance.now();
  const onStep = () => {
    least.trainingStep = Math.min(least.trainingStep, performance.now() - last);
    last = performance.now();
  };
  await trainNextToken(other, texts, { ...training, steps: 4, onStep });
}

const round = (x) => Math.round(x * 100) / 100;
console.log(
  JSON.stringify({
    bench: 'ppo-iteration',
    kernelBuild: backend.kernelBuild,
    ...shape,
    epochs: learner.config.epochs,
    prepareMs: round(least.prepare),
    updateMs: round(least.update),
    totalMs: round(least.prepare + least.update),
    trainingStepMs: round(least.trainingStep),
    trainingSteps: round((least.prepare + least.update) / least.trainingStep),
  }),
);
