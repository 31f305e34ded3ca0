import type * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkIds, checkShape } from './checks';
import type { PositionRows } from './kernels';

/**
 * Rows of a table, with rows of a table of positions added. Also picks rows of activations: `embedding(hidden, rows)`.
 *
 * @param table [V, H]
 * @param ids   [N] on the host
 * @param positions rows to add, one for each id
 * @returns [N, H]; differentiable: the gradient of a row is the sum over its uses
 * @throws DomainError invalid_argument naming the id that is out of range, before anything is read
 */
export function embedding(table: tf.Tensor2D, ids: Int32Array, positions?: PositionRows): tf.Tensor2D {
  checkShape('embedding: table', table, [undefined, undefined]);
  const rows = checkIds('embedding: ids', ids, undefined, table.shape[0]);
  if (!positions) return currentKernels().embedding(table, rows);
  checkShape('embedding: positions.table', positions.table, [undefined, table.shape[1]]);
  const positionRows = checkIds('embedding: positions.ids', positions.ids, ids.length, positions.table.shape[0]);
  return currentKernels().embedding(table, rows, { table: positions.table, ids: positionRows });
}

/**
 * `log softmax(logits)[id]` of one id a row, nats.
 *
 * @param logits [M, V] finite
 * @param ids    [M] on the host
 * @returns [M]; differentiable
 * @throws DomainError invalid_argument naming the id that is out of range
 */
export function logProbability(logits: tf.Tensor2D, ids: Int32Array): tf.Tensor1D {
  checkShape('logProbability: logits', logits, [undefined, undefined]);
  const targets = checkIds('logProbability: ids', ids, logits.shape[0], logits.shape[1]);
  return currentKernels().logProbability(logits, targets);
}

/**
 * Entropy of `softmax(logits)`, nats: `-sum_v p_v log p_v`.
 *
 * @param logits [M, V] finite
 * @returns [M]; differentiable
 */
export function entropy(logits: tf.Tensor2D): tf.Tensor1D {
  checkShape('entropy: logits', logits, [undefined, undefined]);
  return currentKernels().entropy(logits);
}
