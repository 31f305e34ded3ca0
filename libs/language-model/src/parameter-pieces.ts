import { float32Of, rowsOf } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';

/** Numbers of a parameter that are read at a time. */
const pieceSize = 2 ** 22;

/** The values of a parameter in pieces, whatever they are held as. */
export async function* piecesOf(parameter: tf.Variable): AsyncGenerator<Float32Array> {
  const [rows = 1, width = 1] = parameter.shape;
  const step = Math.max(1, Math.floor(pieceSize / width));
  const isWhole = parameter.rank !== 2 || step >= rows;
  for (let from = 0; from < (isWhole ? 1 : rows); from += step) {
    const piece = tf.tidy(() =>
      float32Of(isWhole ? parameter : rowsOf(parameter as tf.Tensor as tf.Tensor2D, from, Math.min(step, rows - from))),
    );
    const data = (await piece.data()) as Float32Array;
    piece.dispose();
    yield data;
  }
}
