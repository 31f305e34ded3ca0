import { linear, valueAndGradients } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { EncodedPair } from './encode-pairs';
import { fitToPairs, type MemberTraining, type OnStep } from './fit-to-pairs';
import type { HiddenStates } from './hidden-states';
import { preferenceLoss } from './preference-loss';

/**
 * Fits a head on a trunk that does not change, in place: what `trainMember` does to a model of which only the head is trained,
 * without a pass through the trunk.
 *
 * @param head [1, H]
 * @param options.pull weight of the squared distance from where the head began, >= 0, in the loss of each step
 * @throws DomainError diverged where the loss or a gradient is not finite
 */
export async function trainHead(
  head: tf.Variable,
  states: HiddenStates,
  pairs: EncodedPair[],
  options: { training: MemberTraining; pull: number; seed: number; onStep?: OnStep },
): Promise<void> {
  const { training, pull, seed, onStep } = options;
  await states.of(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  const start = tf.tidy(() => tf.mul(head, 1));
  const gradientsOf = async (batch: EncodedPair[]) => {
    const sequences = [...batch.map(({ chosen }) => chosen), ...batch.map(({ rejected }) => rejected)];
    const hidden = tf.tensor2d(await states.of(sequences), [sequences.length, head.shape[1]!]);
    const margins = Float32Array.from(batch, ({ margin }) => margin);
    try {
      const { value, gradients } = valueAndGradients(() => {
        const fitted = preferenceLoss(scoresOf(hidden, head), margins, training.centring).div<tf.Scalar>(batch.length);
        return pull > 0 ? fitted.add(tf.sum(tf.square(tf.sub(head, start))).mul(pull)) : fitted;
      }, [head]);
      try {
        return { loss: (await value.data())[0] as number, gradients };
      } catch (error) {
        tf.dispose(gradients);
        throw error;
      } finally {
        value.dispose();
      }
    } finally {
      hidden.dispose();
    }
  };
  try {
    await fitToPairs([head], pairs, { training, seed, begin: () => gradientsOf, ...(onStep && { onStep }) });
  } finally {
    start.dispose();
  }
}

function scoresOf(hidden: tf.Tensor2D, head: tf.Variable): tf.Tensor1D {
  const scores = linear(hidden, head as tf.Tensor as tf.Tensor2D, { transposeWeight: true });
  return tf.reshape(scores, [hidden.shape[0]]);
}
