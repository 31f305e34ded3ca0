import type { ModelConfig } from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';

/** Name of the head of a reward model, [1, H]. */
export const headName = 'score.weight';

/** A config with a reward head in the place of what it has. */
export function rewardConfig(config: ModelConfig): ModelConfig {
  return { ...config, head: 'reward', tiedHead: false };
}

/** The head that a reward model on a base begins with, [1, H]. @param sd standard deviation of its weights */
export function newHead(hiddenSize: number, seed: number, sd = 0.02): tf.Variable {
  const random = randomStream(seed, 'initialise', headName);
  const values = Float32Array.from({ length: hiddenSize }, () => sd * random.normal());
  return tf.tidy(() => tf.variable(tf.tensor2d(values, [1, hiddenSize])));
}
