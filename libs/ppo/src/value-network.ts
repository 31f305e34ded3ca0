import * as tf from '@tensorflow/tfjs';
import { linear, randomStream } from '@surefoot/tensor';

/** Units of the hidden layer. */
const hiddenUnits = 64;

/** V(s_t): the expected return, in units of reward, from the policy's features at a token. */
export interface ValueNetwork {
  /** By name, in a fixed order. */
  readonly parameters: ReadonlyMap<string, tf.Variable>;
}

/**
 * A network H–64–1 with a tanh layer.
 *
 * It reads *detached* features: with a shared trunk that its loss may move, rare responses with a large reward wreck the
 * policy's trunk. Its last layer starts at 0, so that the first advantages are those of no value function at all.
 *
 * @param width H of the policy
 * @param seed of the first layer: normal, standard deviation 1/sqrt(H), biases 0
 *
 * Tensors: the caller owns the variables; `disposeValueNetwork`.
 */
export function createValueNetwork(width: number, seed: number | bigint): ValueNetwork {
  const random = randomStream(seed, 'value-network');
  const first = Float32Array.from({ length: width * hiddenUnits }, () => random.normal() / Math.sqrt(width));
  const variable = (values: tf.Tensor, name: string): [string, tf.Variable] => {
    const created = tf.variable(values);
    values.dispose();
    return [name, created];
  };
  return {
    parameters: new Map([
      variable(tf.tensor2d(first, [width, hiddenUnits]), 'hidden.weight'),
      variable(tf.zeros([hiddenUnits]), 'hidden.bias'),
      variable(tf.zeros([hiddenUnits, 1]), 'out.weight'),
      variable(tf.zeros([1]), 'out.bias'),
    ]),
  };
}

/**
 * Value at each feature row.
 *
 * @param features [n, H] the policy's hidden states, constants to the gradient
 * @returns [n]; differentiable in the network's parameters, tidy-friendly
 */
export function values({ parameters }: ValueNetwork, features: tf.Tensor2D): tf.Tensor1D {
  const layer = (x: tf.Tensor2D, name: string) =>
    linear(x, parameters.get(`${name}.weight`) as tf.Tensor as tf.Tensor2D, {
      bias: parameters.get(`${name}.bias`) as tf.Tensor as tf.Tensor1D,
    });
  return layer(layer(features, 'hidden').tanh(), 'out').as1D();
}

/** Frees the network's variables. */
export function disposeValueNetwork({ parameters }: ValueNetwork): void {
  for (const parameter of parameters.values()) parameter.dispose();
}
