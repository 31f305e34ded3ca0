// Memory over a long training: tensors, their bytes and the process's resident set after 100, 500, 1,000 and 2,000 steps of the
// 0.07 M model of the built-in task (64 sequences of 18 tokens).
// node libs/language-model/bench/flat-memory.mjs [backend] [steps]   after a build
import { createModel, gpt2Config, trainNextToken } from '@surefoot/language-model';
import { openBackend, randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';

const backend = await openBackend(process.argv[2] ?? 'auto');
const steps = Number(process.argv[3] ?? 2000);
const geometry = { vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, maxPositions: 32 };
const model = createModel(gpt2Config({ ...geometry, head: 'causal-lm', eosTokenIds: [1] }), 1);
const random = randomStream(1, 'bench');
const texts = Array.from({ length: 640 }, () => Int32Array.from({ length: 18 }, () => random.integer(100)));

const shown = new Set([100, 500, 1000, 2000, steps]);
const measured = [];
const onStep = (step) => {
  if (!shown.has(step + 1)) return;
  const { numTensors, numBytes } = tf.memory();
  const residentMiB = Math.round(process.memoryUsage().rss / 2 ** 20);
  measured.push({ step: step + 1, tensors: numTensors, tensorBytes: numBytes, residentMiB });
};
const schedule = { learningRate: 1e-3, warmupSteps: 10, finalFraction: 0.1, weightDecay: 0.01, seed: 1 };
await trainNextToken(model, texts, { steps, batchSize: 64, ...schedule, onStep });
console.log(JSON.stringify({ bench: 'flat-memory', backend: backend.name, build: backend.kernelBuild, measured }));
