import type * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkCount, checkShape, invalid } from './checks';
import { accountedMoments } from './moments';

export interface AdamWOptions {
  /** Decay of the first moment, [0, 1), default 0.9. */
  beta1?: number;
  /** Decay of the second moment, [0, 1), default 0.999. */
  beta2?: number;
  /** Added to the root of the second moment, > 0, default 1e-8. */
  epsilon?: number;
  /** `outside` (PyTorch): added after bias correction of the root; `inside` (TensorFlow): before. Default `outside`. */
  epsilonMode?: 'outside' | 'inside';
  /** Decoupled, times the learning rate, on every parameter; >= 0, default 0. */
  weightDecay?: number;
}

/** The optimiser's moments; `steps` counts the calls of `step`. */
export interface AdamW {
  readonly steps: number;
  /** One update of the parameters. The gradients are neither changed nor disposed. */
  step(gradients: tf.Tensor[], learningRate: number): void;
  /** The moments, in the order of the parameters: read them before the next step, do not dispose them. */
  state(): { steps: number; first: tf.Tensor[]; second: tf.Tensor[] };
  /** @throws DomainError invalid_argument if the moments are not those of these parameters; then nothing has changed */
  restore(state: { steps: number; first: Float32Array[]; second: Float32Array[] }): void;
  /** Frees the moments; the parameters stay. */
  dispose(): void;
}

/**
 * AdamW: `p = p (1 - lr wd) - lr m^ / (sqrt(v^) + eps)` with `m^ = m / (1 - beta1^t)`, `v^ = v / (1 - beta2^t)`; with
 * `epsilonMode` inside `p = p (1 - lr wd) - lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps)`.
 *
 * @param parameters updated in place; not disposed
 * @throws DomainError invalid_argument naming the option that is out of range
 *
 * Source: Loshchilov and Hutter 2019, arXiv:1711.05101; inside: Kingma and Ba 2015, arXiv:1412.6980, end of section 2.
 */
export function createAdamW(
  parameters: tf.Variable[],
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, epsilonMode = 'outside', weightDecay = 0 }: AdamWOptions = {},
): AdamW {
  checkRange('beta1', beta1, beta1 >= 0 && beta1 < 1, '[0, 1)');
  checkRange('beta2', beta2, beta2 >= 0 && beta2 < 1, '[0, 1)');
  checkRange('epsilon', epsilon, epsilon > 0 && epsilon < Infinity, '> 0');
  checkRange('weightDecay', weightDecay, weightDecay >= 0 && weightDecay < Infinity, '>= 0');
  const moments = accountedMoments(currentKernels().adamw, parameters);
  let steps = 0;

  function step(gradients: tf.Tensor[], learningRate: number): void {
    checkRange('learning rate', learningRate, learningRate >= 0 && learningRate < Infinity, '>= 0');
    if (gradients.length !== parameters.length)
      throw invalid(`AdamW: ${gradients.length} gradients for ${parameters.length} parameters`);
    gradients.forEach((gradient, i) => checkShape(`AdamW: gradient ${i}`, gradient, parameters[i]?.shape ?? []));
    steps += 1;
    const root = Math.sqrt(1 - beta2 ** steps);
    const rate = (learningRate * (epsilonMode === 'inside' ? root : 1)) / (1 - beta1 ** steps);
    const rootScale = epsilonMode === 'inside' ? 1 : 1 / root;
    const numbers = { beta1, beta2, rate, decay: 1 - learningRate * weightDecay, rootScale, epsilon };
    moments.step(gradients, numbers);
  }

  function restore(state: { steps: number; first: Float32Array[]; second: Float32Array[] }): void {
    checkCount('AdamW: steps', state.steps, 0);
    for (const values of [state.first, state.second])
      if (values.length !== parameters.length || values.some((data, i) => data.length !== parameters[i]?.size))
        throw invalid('AdamW: the moments to restore are not those of these parameters');
    moments.write(state);
    steps = state.steps;
  }

  return {
    get steps() {
      return steps;
    },
    step,
    state: () => ({ steps, ...moments.read() }),
    restore,
    dispose: () => moments.dispose(),
  };
}

function checkRange(name: string, value: number, holds: boolean, range: string): void {
  if (!holds) throw invalid(`AdamW: ${name} is ${value}, needs ${range}`);
}
