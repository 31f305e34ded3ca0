import * as tf from '@tensorflow/tfjs';
import type { AdamWStep, Kernels, Moments } from './kernels';

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

let uncounted = 0;

/** Bytes of this thread's moments that `tf.memory()` does not count: where a backend keeps them in variables of its own. */
export function uncountedMomentBytes(): number {
  return uncounted;
}

/** Moments of zeros whose bytes `uncountedMomentBytes` has as long as `tf.memory()` has them not. */
export function accountedMoments(adamw: Kernels['adamw'], parameters: tf.Variable[]): Moments {
  let bytes = parameters.reduce((sum, { size }) => sum + 2 * 4 * size, 0);
  const before = uncounted;
  uncounted += bytes;
  let moments: Moments;
  try {
    moments = lessCounted(() => adamw(parameters));
  } catch (error) {
    uncounted = before;
    throw error;
  }
  return {
    step: (gradients, step) => lessCounted(() => moments.step(gradients, step)),
    read: () => lessCounted(() => moments.read()),
    write: (state) => lessCounted(() => moments.write(state)),
    dispose() {
      lessCounted(() => moments.dispose());
      uncounted -= bytes;
      bytes = 0;
    },
  };
}

/** Whatever of the moments a call has made tensors of, `tf.memory()` counts. */
function lessCounted<Result>(call: () => Result): Result {
  const before = tf.memory().numBytes;
  try {
    return call();
  } finally {
    uncounted -= tf.memory().numBytes - before;
  }
}
