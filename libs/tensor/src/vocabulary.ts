import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import { checkIds, checkShape, invalid } from './checks';
import { differentiable, isFrozen } from './differentiable';
import { rowsOf } from './weights';

/** What `vocabularyLogProbability` may be told. */
export interface VocabularyOptions {
  /** Divides the logits, > 0, default 1. */
  temperature?: number;
  /** Logits become `cap · tanh(logit / cap)` before they are divided; default as they are. */
  softCap?: number | undefined;
  /** Rows of the table at a time, default 16,384. */
  chunk?: number;
  /** A second product that is added to the first; an adapter's change of the table. */
  change?: Product | undefined;
}

/** A part of the logits, `x · table^T`. */
export interface Product {
  /** [M, W] */
  x: tf.Tensor2D;
  /** [V, W]; no gradient is computed in one that is frozen. */
  table: tf.Tensor2D;
}

/** Logits of all rows and of the ids of one chunk. */
interface Chunk {
  /** The first id. */
  from: number;
  /** The rows of each product's table, [C, W] */
  tables: tf.Tensor2D[];
  /** [M, C] */
  logits: tf.Tensor2D;
  /** [M, C] derivative of a logit in the sum of its products; a number where it is the same everywhere. */
  slope: tf.Tensor2D | number;
}

type Columns = [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];

/**
 * Log-probabilities of tokens, and entropies of the distributions, over a large vocabulary whose logits are never there as a
 * whole: `logits = hidden · table^T`, a second product added, capped and divided by the temperature,
 * `log p = logit - log sum exp logits`.
 *
 * The vocabulary is gone through in chunks, with a running maximum and running sums; the gradient goes through it once more. Kept
 * for it are the hidden states and two numbers a row.
 *
 * @param hidden [M, H]
 * @param table  [V, H]; no gradient is computed in one that is frozen
 * @param ids    [M] on the host
 * @returns `logProbability` [M] and `entropy` [M], nats; both differentiable
 * @throws DomainError invalid_argument if the shapes do not fit, an id is not in 0..V-1, or an option is out of range
 */
export function vocabularyLogProbability(
  hidden: tf.Tensor2D,
  table: tf.Tensor2D,
  ids: Int32Array,
  { change, ...options }: VocabularyOptions = {},
): { logProbability: tf.Tensor1D; entropy: tf.Tensor1D } {
  checkShape('vocabularyLogProbability: hidden', hidden, [undefined, undefined]);
  const [rows, width] = hidden.shape;
  checkShape('vocabularyLogProbability: table', table, [undefined, width]);
  if (change) {
    checkShape('vocabularyLogProbability: change.x', change.x, [rows, undefined]);
    checkShape('vocabularyLogProbability: change.table', change.table, [table.shape[0], change.x.shape[1]]);
  }
  const targets = checkIds('vocabularyLogProbability: ids', ids, rows, table.shape[0]);
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !(value > 0 && value < Infinity))
      throw invalid(`vocabularyLogProbability: ${name} is ${value}, needs a number > 0`);
  const inputs = change ? [hidden, table, change.x, change.table] : [hidden, table];

  const both = differentiable<tf.Tensor2D>(inputs, (save) => {
    const sums = [...chunks(productsOf(inputs), options, (chunk) => partialSums(chunk, targets))];
    const [largest, sum, weighted, target] = sums.reduce(together);
    const logSum: tf.Tensor2D = tf.add(largest!, tf.log(sum!));
    // -sum p log p, with p = exp(l - logSum)
    const entropy: tf.Tensor2D = tf.sub(logSum, tf.div(weighted!, sum!));
    save([logSum, entropy, ...inputs]);
    const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
      const [logSum, entropy, ...kept] = saved as [tf.Tensor2D, tf.Tensor2D, ...tf.Tensor2D[]];
      const products = productsOf(kept);
      const [dLog, dEntropy] = tf.split(dy, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
      const parts = chunks(products, options, (chunk) => {
        // dl = [id] dlog - p (dlog + dH (log p + H))
        const logs = tf.sub(chunk.logits, logSum);
        const outer = tf.add(dLog, tf.mul(dEntropy, tf.add(logs, entropy)));
        const ofTargets = spread(dLog, chunk, targets);
        const spreadOut = tf.neg(tf.mul(tf.exp(logs), outer));
        const dLogits = ofTargets ? tf.add(ofTargets, spreadOut) : spreadOut;
        const dProducts: tf.Tensor2D = tf.mul(dLogits, chunk.slope);
        const { linear } = currentKernels();
        const inTable = (x: tf.Tensor2D) => linear(tf.transpose(dProducts), x, {});
        return products.map(({ x }, i) => ({
          x: linear(dProducts, chunk.tables[i]!, {}),
          ...(!isFrozen(inputs[2 * i + 1]!) && { table: inTable(x) }),
        }));
      });
      const gradients = [...parts];
      return products.flatMap((_, i) => [
        () => tf.addN(gradients.map((part) => part[i]!.x)),
        () => joined(gradients.map((part) => part[i]!.table!)),
      ]);
    };
    return { value: tf.concat2d([tf.sub(target!, logSum), entropy], 1), gradient };
  });
  const [logProbability, entropy] = tf.split(both, 2, 1).map((column) => tf.reshape(column, [rows]));
  return { logProbability, entropy } as { logProbability: tf.Tensor1D; entropy: tf.Tensor1D };
}

/** Tensors by turns `x` and `table`. */
function productsOf(tensors: tf.Tensor2D[]): Product[] {
  return tensors.flatMap((x, i) => (i % 2 === 0 ? [{ x, table: tensors[i + 1]! }] : []));
}

/** The chunks one after the other; what `use` does not return is freed before the next. */
function* chunks<Result extends tf.TensorContainer>(
  all: Product[],
  { temperature = 1, softCap, chunk: size = 2 ** 14 }: VocabularyOptions,
  use: (chunk: Chunk) => Result,
): Generator<Result> {
  const vocabulary = all[0]!.table.shape[0];
  for (let from = 0; from < vocabulary; from += size)
    yield tf.tidy(() => {
      const tables = all.map(({ table }) => rowsOf(table, from, Math.min(size, vocabulary - from)));
      const { linear } = currentKernels();
      const products = all.reduce<tf.Tensor2D | undefined>(
        (sum, { x }, i) => linear(x, tables[i]!, { transposeWeight: true, ...(sum && { residual: sum }) }),
        undefined,
      )!;
      const slope = 1 / temperature;
      if (softCap === undefined) {
        const logits = slope === 1 ? products : tf.mul<tf.Tensor2D>(products, slope);
        return use({ from, tables, logits, slope });
      }
      const share = tf.tanh(tf.mul<tf.Tensor2D>(products, 1 / softCap));
      const flattened: tf.Tensor2D = tf.mul(tf.sub(1, tf.square(share)), slope);
      return use({ from, tables, logits: tf.mul(share, softCap * slope), slope: flattened });
    });
}

/** Of a chunk, each [M, 1]: the largest logit; relative to it the sums of exp l and of l exp l; the target's logit, else 0. */
function partialSums(chunk: Chunk, targets: Int32Array): Columns {
  const { logits } = chunk;
  const largest = tf.max(logits, 1, true);
  const exponentials = tf.exp(tf.sub(logits, largest));
  const weighted = tf.sum(tf.mul(exponentials, logits), 1, true);
  return [largest, tf.sum(exponentials, 1, true), weighted, chosen(chunk, targets)] as Columns;
}

/** The sums of two chunks as those of one. */
function together(a: Columns, b: Columns): Columns {
  const most: tf.Tensor2D = tf.maximum(a[0], b[0]);
  const [ofA, ofB] = [a, b].map(([largest]) => tf.exp(tf.sub(largest, most)));
  const both = (i: 1 | 2) => tf.add<tf.Tensor2D>(tf.mul(a[i], ofA!), tf.mul(b[i], ofB!));
  return [most, both(1), both(2), tf.add(a[3], b[3])];
}

/** [M, 1] each row's logit at its target, 0 where that is in another chunk. */
function chosen({ from, logits }: Chunk, targets: Int32Array): tf.Tensor2D {
  const [rows, size] = logits.shape;
  const isHere = (id: number) => id >= from && id < from + size;
  const places = targets.map((id, row) => row * size + (isHere(id) ? id - from : 0));
  const here = tf.tensor2d(
    Float32Array.from(targets, (id) => Number(isHere(id))),
    [rows, 1],
  );
  return tf.mul(currentKernels().embedding(tf.reshape(logits, [rows * size, 1]), places), here);
}

/** [M, C] each row's number at its target; undefined where no target is in the chunk. */
function spread(column: tf.Tensor2D, { from, logits }: Chunk, targets: Int32Array): tf.Tensor2D | undefined {
  const [, size] = logits.shape;
  const rows = [...targets.keys()].filter((row) => targets[row]! >= from && targets[row]! < from + size);
  if (rows.length === 0) return undefined;
  const places = tf.tensor2d(
    rows.flatMap((row) => [row, targets[row]! - from]),
    [rows.length, 2],
    'int32',
  );
  const values = currentKernels().embedding(column, Int32Array.from(rows));
  return tf.scatterND(places, tf.reshape(values, [rows.length]), logits.shape);
}

function joined(parts: tf.Tensor2D[]): tf.Tensor2D {
  return parts.length === 1 ? parts[0]! : tf.concat2d(parts, 0);
}
