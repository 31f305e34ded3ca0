import * as tf from '@tensorflow/tfjs';

/** A gradient, or how to compute it: a function is called only where something depends on that input. */
type Gradient = tf.Tensor | (() => tf.Tensor);

/** What a kernel computed and how its gradient is: from the gradient of `value` and what was saved to those of the inputs. */
export interface Computed<Result extends tf.Tensor> {
  value: Result;
  gradient?: (dy: Result, saved: tf.Tensor[]) => Gradient[];
}

/** What of TensorFlow.js' engine is used here; private in its typings. */
interface Engine {
  runKernelFunc<Result extends tf.Tensor>(operation: {
    inputs: tf.NamedTensorMap;
    forwardFunc: (backend: unknown, save: Save) => Result;
    backwardsFunc: (dy: Result, saved: tf.Tensor[]) => Record<string, () => tf.Tensor>;
  }): Result;
}

/** Keeps tensors for the gradient; a tensor that the gradient's closure held would be disposed before it runs. */
type Save = (tensors: tf.Tensor[]) => void;

/**
 * Runs a kernel; where a gradient is being recorded, as an operation whose gradient is its own. Of frozen inputs none is taken.
 *
 * @param inputs those that the gradient is taken of, in the order in which it gives theirs
 * @param compute with `isRecorded` false nothing is saved and no gradient asked for
 */
export function differentiable<Result extends tf.Tensor>(
  inputs: tf.Tensor[],
  compute: (save: Save, isRecorded: boolean) => Computed<Result>,
): Result {
  if (!isRecording()) return tf.tidy(() => compute(() => undefined, false).value);
  let gradient: Computed<Result>['gradient'];
  const trained = [...inputs.entries()].filter(([, input]) => !isFrozen(input));
  // As tf.customGrad does it, but that gradients are asked for one by one: a frozen weight's is never computed.
  return (tf.engine() as unknown as Engine).runKernelFunc<Result>({
    inputs: Object.fromEntries(trained),
    forwardFunc(_, save) {
      const computed = compute(save, true);
      gradient = computed.gradient;
      return computed.value;
    },
    backwardsFunc(dy, saved) {
      const gradients = gradient!(dy, saved);
      return Object.fromEntries(
        trained.map(([i]) => {
          const each = gradients[i]!;
          return [i, typeof each === 'function' ? each : () => each];
        }),
      );
    },
  });
}

/** Whether what is computed now is being recorded for a gradient. */
export function isRecording(): boolean {
  const { gradientDepth, kernelDepth } = tf.engine().state;
  return gradientDepth > 0 && kernelDepth === 0;
}

/** Whether a parameter is not trained: its gradient is never asked for. */
export function isFrozen(parameter: tf.Tensor): boolean {
  return parameter instanceof tf.Variable && !parameter.trainable;
}
