/**
 * One PPO iteration of a LoRA adapter on a large model: sampling left out, measuring 4 rollouts of 64 tokens, then one optimizer
 * step; time and memory.
 *
 *   surefoot model create --like config.json --tokenizer DIR --out MODEL --dtype bf16
 *   SUREFOOT_BF16=cast|native node libs/ppo/bench/lora-step.mjs MODEL [f32|bf16-mapped]
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createAdapter, loadModel } from '@surefoot/language-model';
import { createLearner, ppoUpdate, prepareRollouts, resolvePpoConfig } from '@surefoot/ppo';
import { openBackend, randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';

const [folder, weights = 'bf16-mapped'] = process.argv.slice(2);
const [rollouts, promptTokens, responseTokens] = [4, 16, 48];

const results = { weights, products: process.env.SUREFOOT_BF16 ?? 'cast' };
const timed = async (name, run) => {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const value = await run();
  const { user, system } = process.cpuUsage(before);
  const wall = (performance.now() - start) / 1000;
  if (!(results[name]?.wall < wall)) results[name] = { wall, processor: (user + system) / 1e6 };
  results.anonymousGiB = Math.max(results.anonymousGiB ?? 0, memory().RssAnon / 2 ** 20);
  return value;
};
const memory = () =>
  Object.fromEntries(
    [...readFileSync('/proc/self/status', 'utf8').matchAll(/^(\w+):\s+(\d+) kB$/gm)].map(([, name, kib]) => [
      name,
      +kib,
    ]),
  );

await openBackend('tensorflow', { threads: 2 });
const reference = await timed('load', () => loadModel(folder, { head: 'causal-lm', weights, trainable: false }));
const policy = createAdapter(reference, { r: 16, targetModules: ['q_proj', 'v_proj'] }, 1);
const config = resolvePpoConfig({ batchSize: rollouts, epochs: 1, learningRate: 1e-4 });
const learner = createLearner(policy, reference, config, 1);
const random = randomStream(1, 'rollouts');
const ids = (length) => Int32Array.from({ length }, () => random.integer(policy.config.vocabularySize));
const batch = Array.from({ length: rollouts }, () => ({
  promptIds: ids(promptTokens),
  responseIds: ids(responseTokens),
  hasEos: true,
}));
for (let iteration = 1; iteration <= 3; iteration++) {
  const prepared = await timed('measuring', () => prepareRollouts(learner, batch));
  const scores = batch.map((_, b) => ({ members: [b, b + 1], variance: 1 }));
  const metrics = await timed('step', () => ppoUpdate(learner, prepared, scores, { iteration }));
  results.ratioDeviation = metrics['policy/ratio_deviation_first'];
  results.gradientNorm = metrics['gradient/policy_norm'];
}
results.residentGiB = memory().VmHWM / 2 ** 20;
results.tensors = tf.memory().numTensors;
console.log(JSON.stringify(results, null, 1));
