import * as tf from '@tensorflow/tfjs';
import type { AdamWStep, Moments } from './kernels';

/** Updates one parameter and its moments. */
export type Update = (
  parameter: tf.Variable,
  first: tf.Variable,
  second: tf.Variable,
  gradient: tf.Tensor,
  step: AdamWStep,
) => void;

/** Moments in a variable each, of the shapes of the parameters, updated one after the other. */
export function separateMoments(parameters: tf.Variable[], update: Update): Moments {
  const zeros = () => parameters.map((parameter) => tf.variable(tf.zeros(parameter.shape), false));
  const [first, second] = tf.tidy(() => [zeros(), zeros()]);
  return {
    step(gradients, step) {
      parameters.forEach((parameter, i) => update(parameter, first[i]!, second[i]!, gradients[i]!, step));
    },
    read: () => ({ first, second }),
    write(state) {
      const load = (into: tf.Variable[], data: Float32Array[]) =>
        into.forEach((moment, i) => moment.assign(tf.tensor(data[i]!, moment.shape)));
      tf.tidy(() => {
        load(first, state.first);
        load(second, state.second);
      });
    },
    dispose: () => tf.dispose([...first, ...second]),
  };
}
