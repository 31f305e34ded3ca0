// A square matrix product: what a backend can reach at most.
import { linear, randomStream } from '@surefoot/tensor';
import { tf } from './tfjs.mjs';

export function matmul({ size }) {
  const width = Number(size);
  const random = randomStream(1, 'bench');
  const matrix = () => tf.tensor2d(Float32Array.from({ length: width * width }, random.uniform), [width, width]);
  const [x, weight] = [matrix(), matrix()];
  return {
    run: async () => {
      // One number is read: on a GPU the product is done only when something of it arrives.
      const corner = tf.tidy(() => tf.slice(linear(x, weight), [0, 0], [1, 1]));
      await corner.data();
      corner.dispose();
    },
    dispose: () => tf.dispose([x, weight]),
  };
}
