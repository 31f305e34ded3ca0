// One thread: a training step, sampling with cache, ten scorers.
import { createAdamW, logProbability, randomStream, valueAndGradients } from '@surefoot/tensor';
import { disposeModel, hiddenStates, logits, packSequences, rewardScores, sample } from '@surefoot/language-model';
import { createRequire } from 'node:module';
import { model, sizes, texts } from './models.mjs';
import { time } from './measure.mjs';

const tf = createRequire(import.meta.resolve('@surefoot/tensor'))('@tensorflow/tfjs');

export async function kernelBenchmarks() {
  const rows = [];
  for (const [name, size] of Object.entries(sizes)) {
    rows.push({ what: `training step ${name}, ${size.rows} × ${size.tokens}`, ...(await trainingStep(size)) });
    rows.push({ what: `sampling ${name}, 64 × (6 + 12), a token step`, ...(await samplingStep(size)) });
  }
  rows.push({ what: 'ten 0.1 M scorers, 32 × 128', ...(await tenScorers()) });
  return rows;
}

async function trainingStep(size) {
  const policy = model(size);
  const parameters = [...policy.parameters.values()];
  const optimizer = createAdamW(parameters, { weightDecay: 0.01 });
  const batch = packSequences(texts(size, size.rows, size.tokens));
  const targets = packSequences(texts(size, size.rows, size.tokens).reverse()).ids;
  const result = await time(async () => {
    const loss = () => tf.neg(tf.mean(logProbability(logits(policy, hiddenStates(policy, batch)), targets)));
    const { value, gradients } = valueAndGradients(loss, parameters);
    optimizer.step(gradients, 1e-3);
    await value.data();
    tf.dispose([value, gradients]);
  });
  optimizer.dispose();
  disposeModel(policy);
  return result;
}

async function samplingStep(size) {
  const policy = model(size);
  const prompts = texts(size, 64, 6);
  const options = { maxNewTokens: 12, eosTokenIds: [], random: (row) => randomStream(1, 'sampling', row) };
  const { ms, medianMs, runs } = await time(() => sample(policy, prompts, options));
  disposeModel(policy);
  return { ms: Math.round((ms / 12) * 100) / 100, medianMs: Math.round((medianMs / 12) * 100) / 100, runs };
}

async function tenScorers() {
  const size = { vocabularySize: 100, hiddenSize: 64, layers: 2, heads: 2 };
  const members = Array.from({ length: 10 }, (_, seed) => model(size, 'reward', seed));
  const batch = packSequences(texts(size, 32, 128));
  const result = await time(async () => {
    for (const member of members) {
      const scores = tf.tidy(() => rewardScores(member, batch));
      await scores.data();
      scores.dispose();
    }
  });
  members.forEach(disposeModel);
  return result;
}
