/**
 * A model of the paper's scale on this machine: how soon it is ready, how fast it scores, takes log-probabilities and generates,
 * and what memory that takes. Each form of the weights in a process of its own, so that each has its own peaks.
 *
 *   surefoot model create --like config.json --tokenizer DIR --out MODEL --dtype bf16
 *   node libs/language-model/bench/large-model.mjs MODEL [f32|cast|native …]
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import * as language from '@surefoot/language-model';
import { openBackend, randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';

const [model, ...forms] = process.argv.slice(2);
const [sequences, tokens, promptTokens, newTokens, heads] = [4, 64, 16, 16, 10];

const watcher = `
const { workerData: shared } = require('node:worker_threads');
const { readFileSync } = require('node:fs');
setInterval(() => {
  const now = Number(/^RssAnon:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  if (now > shared[0]) shared[0] = now;
}, 10);
`;

if (process.env.LARGE_MODEL_FORM) await measure(process.env.LARGE_MODEL_FORM);
else
  for (const form of forms.length > 0 ? forms : ['cast', 'native', 'f32']) {
    const env = { ...process.env, LARGE_MODEL_FORM: form, SUREFOOT_BF16: form === 'native' ? 'native' : 'cast' };
    const { status } = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), model], {
      env,
      stdio: 'inherit',
    });
    if (status !== 0) process.exitCode = 1;
  }

async function measure(form) {
  const results = { form };
  const threads = 2;
  /** Wall and processor time of one run, seconds; the latter divided by the threads is what a quiet machine would take at least. */
  const timed = async (name, run) => {
    const [start, before] = [performance.now(), process.cpuUsage()];
    const value = await run();
    const { user, system } = process.cpuUsage(before);
    const wall = (performance.now() - start) / 1000;
    const cpu = (user + system) / 1e6 / threads;
    const least = results[name] ?? { wall: Infinity, cpu: Infinity };
    results[name] = { wall: Math.min(wall, least.wall), cpu: Math.min(cpu, least.cpu) };
    return value;
  };
  await timed('open', () => openBackend('tensorflow', { threads }));
  const weights = form === 'f32' ? 'f32' : 'bf16-mapped';
  const loaded = await timed('load', () => language.loadModel(model, { head: 'causal-lm', weights, trainable: false }));
  const anonymous = watchAnonymous();
  const random = randomStream(1, 'sequences');
  const ids = (length) => Int32Array.from({ length }, () => random.integer(loaded.config.vocabularySize));
  const rows = Array.from({ length: sequences }, () => ids(tokens));
  const batch = language.packSequences(rows);
  const head = tf.randomNormal([heads, loaded.config.hiddenSize], 0, 0.02, 'float32', 1);
  const score = async () => {
    const rewards = tf.tidy(() =>
      tf.matMul(language.hiddenStates(loaded, batch, language.lastTokenRows(batch)), head, false, true),
    );
    const values = await rewards.data();
    rewards.dispose();
    return values;
  };
  await timed('scoreFirst', score);
  for (let i = 0; i < 3; i++) results.rewards = [...(await timed('score', score))].slice(0, 3);
  for (let i = 0; i < 2; i++) {
    const { logProbabilities } = await timed('logProbabilities', () => language.sequenceLogProbabilities(loaded, rows));
    results.firstLogProbabilities = [...logProbabilities[0].slice(0, 3)];
  }
  const prompts = rows.map((row) => row.slice(0, promptTokens));
  const generate = (count) => () =>
    language.sample(loaded, prompts, { maxNewTokens: count, eosTokenIds: [], random: (row) => randomStream(1, row) });
  await timed('firstToken', generate(1));
  await timed('generation', generate(newTokens));
  const { firstToken, generation } = results;
  const steps = newTokens - 1;
  results.stepsPerSecond = {
    wall: steps / (generation.wall - firstToken.wall),
    cpu: steps / (generation.cpu - firstToken.cpu),
  };
  anonymous.stop();
  results.peakResidentGiB = status().VmHWM / 2 ** 20;
  results.peakAnonymousGiB = anonymous.peak / 2 ** 20;
  console.log(JSON.stringify(results));
}

/** Numbers of /proc/self/status in KiB. */
function status() {
  const lines = readFileSync('/proc/self/status', 'utf8').matchAll(/^(\w+):\s+(\d+) kB$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]));
}

/** The peak of what is no page of a file, seen by a thread of its own: computing does not let this one look. */
function watchAnonymous() {
  const watch = { peak: 0, sample: () => (watch.peak = Math.max(watch.peak, status().RssAnon)) };
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(watcher, { eval: true, workerData: shared });
  watch.stop = () => {
    watch.sample();
    Atomics.store(shared, 1, 1);
    watch.peak = Math.max(watch.peak, Atomics.load(shared, 0));
    void worker.terminate();
  };
  return watch;
}
