import * as tf from '@tensorflow/tfjs';

/** What a kernel computed and how its gradient is: from the gradient of `value` and what was saved to those of the inputs. */
export interface Computed<Result extends tf.Tensor> {
  value: Result;
  gradient?: (dy: Result, saved: tf.Tensor[]) => tf.Tensor[];
}

/** Keeps tensors for the gradient; a tensor that the gradient's closure held would be disposed before it runs. */
type Save = (tensors: tf.Tensor[]) => void;

/**
 * Runs a kernel; where a gradient is being recorded, as an operation whose gradient is its own.
 *
 * @param inputs those that the gradient is taken of, in the order in which it gives theirs
 * @param compute with `isRecorded` false nothing is saved and no gradient asked for
 */
export function differentiable<Result extends tf.Tensor>(
  inputs: tf.Tensor[],
  compute: (save: Save, isRecorded: boolean) => Computed<Result>,
): Result {
  if (!isRecording()) return tf.tidy(() => compute(() => undefined, false).value);
  const operation = tf.customGrad((...args) => {
    const save = args.at(-1) as unknown as Save;
    const { value, gradient } = compute(save, true);
    return { value, gradFunc: gradient as (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[] };
  });
  return operation(...inputs) as Result;
}

/** Whether what is computed now is being recorded for a gradient. */
export function isRecording(): boolean {
  const { gradientDepth, kernelDepth } = tf.engine().state;
  return gradientDepth > 0 && kernelDepth === 0;
}
