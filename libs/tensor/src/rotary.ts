import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkCount, checkShape, invalid } from './checks';
import type { RotaryAngles } from './kernels';

/**
 * The angles of tokens at their positions, in float32 as PyTorch computes them.
 *
 * @param positions   [N]
 * @param frequencies [W / 2] radians a position
 * @returns the caller disposes both
 */
export function rotaryAngles(positions: Int32Array, frequencies: Float32Array): RotaryAngles {
  const shape: [number, number] = [positions.length, frequencies.length];
  const cosines = new Float32Array(shape[0] * shape[1]);
  const sines = new Float32Array(cosines.length);
  positions.forEach((position, row) => {
    frequencies.forEach((frequency, i) => {
      const angle = Math.fround(position * frequency);
      cosines[row * shape[1] + i] = Math.cos(angle);
      sines[row * shape[1] + i] = Math.sin(angle);
    });
  });
  return { cosines: tf.tensor2d(cosines, shape), sines: tf.tensor2d(sines, shape) };
}

/**
 * Rotary position embedding: the first and the second half of each head are turned against each other by their angles,
 * `[a cos - b sin, b cos + a sin]`.
 *
 * @param packed  [N, heads · W] heads side by side; W is twice the number of frequencies
 * @param rotated heads from the left that are turned; those after them (values) stay
 * @returns [N, heads · W]; differentiable in `packed`
 * @throws DomainError invalid_argument if the shapes do not fit together
 *
 * Source: Su et al. 2021, arXiv:2104.09864, in the half-split layout of transformers.
 */
export function rotate(packed: tf.Tensor2D, angles: RotaryAngles, { rotated }: { rotated: number }): tf.Tensor2D {
  checkShape('rotate: packed', packed, [undefined, undefined]);
  checkCount('rotate: rotated', rotated);
  const [rows, width] = packed.shape;
  checkShape('rotate: cosines', angles.cosines, [rows, undefined]);
  checkShape('rotate: sines', angles.sines, angles.cosines.shape);
  const headWidth = 2 * angles.cosines.shape[1];
  if (width % headWidth !== 0 || rotated * headWidth > width)
    throw invalid(`rotate: width ${width} does not hold ${rotated} heads of ${headWidth}`);
  return currentKernels().rotate(packed, angles, rotated);
}
