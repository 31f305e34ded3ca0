import { DomainError } from '@surefoot/errors';
import { pullback, valueAndGradients } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { attendWithin, batchPositions, beginPass, embed, finalNorm, runBlock } from './decoder';
import { fitsOnTape } from './memory-room';
import { trainableParameters, type LanguageModel } from './model';
import { embeddingTable, familyOf } from './parameters';
import type { TokenBatch } from './token-batch';

/** The blocks of one pass over a batch. */
interface Blocks {
  count: number;
  embed(): tf.Tensor2D;
  run(layer: number, input: tf.Tensor2D): tf.Tensor2D;
  norm(x: tf.Tensor2D): tf.Tensor2D;
}

/** Where a parameter has its first use: -1 before the blocks, then the block's number, the number of blocks after them. */
type Place = number;

/**
 * A loss of a model's hidden states and its gradients in all that is trained of the model.
 *
 * What comes before everything that is trained runs without a tape. The rest is taped as a whole where that fits in memory; else,
 * and always under an adapter on a large model (`trainingPlan`), it is checkpointed: the blocks run without a tape, their inputs
 * are kept, and from the last block to the first each runs again and hands the gradient on. That computes the same, with one
 * block's tape at a time.
 *
 * @param rows   [R] the rows of [B*T] whose hidden states the loss is of
 * @param loss   of the hidden states [R, H] after the final norm, and of the model's head; called once
 * @param options.withEntropy    as in `BatchShape`; default false
 * @param options.isCheckpointed default as `fitsOnTape` decides
 * @returns the caller disposes `value` and `gradients`; these are in the order of `trainableParameters(model)`
 * @throws DomainError as `hiddenStates` and `valueAndGradients`
 *
 * Source of checkpointing: Chen et al. 2016, arXiv:1604.06174.
 */
export function modelGradients(
  model: LanguageModel,
  batch: TokenBatch,
  rows: Int32Array,
  loss: (hidden: tf.Tensor2D) => tf.Scalar,
  options: { withEntropy?: boolean; isCheckpointed?: boolean } = {},
): { value: tf.Scalar; gradients: tf.Tensor[] } {
  const { withEntropy = false } = options;
  const shape = { sequences: batch.batch, width: batch.width, outputs: rows.length, withEntropy };
  const { isCheckpointed = !fitsOnTape(model, shape) } = options;
  const positions = batchPositions(model, batch);
  const pass = beginPass(model, positions, attendWithin(batch), rows);
  const blocks: Blocks = {
    count: model.config.layers,
    embed: () => embed(model, batch.ids, positions),
    run: (layer, input) => tf.tidy(() => runBlock(pass, layer, input)),
    norm: (x) => finalNorm(model, x),
  };
  try {
    return isCheckpointed ? checkpointed(model, blocks, loss) : taped(model, blocks, loss);
  } finally {
    tf.dispose([pass.angles?.cosines, pass.angles?.sines]);
  }
}

function taped(model: LanguageModel, blocks: Blocks, loss: (hidden: tf.Tensor2D) => tf.Scalar) {
  const trained = trainableParameters(model);
  const first = Math.min(...[...trained.keys()].map(placeIn(model)));
  const before = first < 0 ? undefined : tf.tidy(() => runUpTo(blocks, first));
  try {
    return valueAndGradients(() => {
      let x = before ?? blocks.embed();
      for (let layer = Math.max(0, first); layer < blocks.count; layer++) x = blocks.run(layer, x);
      return loss(blocks.norm(x));
    }, [...trained.values()]);
  } finally {
    before?.dispose();
  }
}

/** The input of a block, or of the final norm. */
function runUpTo(blocks: Blocks, place: Place): tf.Tensor2D {
  let x = blocks.embed();
  for (let layer = 0; layer < place; layer++) {
    const next = blocks.run(layer, x);
    x.dispose();
    x = next;
  }
  return x;
}

function checkpointed(model: LanguageModel, blocks: Blocks, loss: (hidden: tf.Tensor2D) => tf.Scalar) {
  const trained = trainableParameters(model);
  const place = placeIn(model);
  const names = [...trained.keys()];
  const first = Math.min(...names.map(place));
  const gradients = new Map<string, tf.Tensor>();
  /** Inputs of the blocks from the first that is trained on, and of the final norm; what was used is gone. */
  const inputs: tf.Tensor2D[] = [];
  let value: tf.Scalar | undefined;
  let dy: tf.Tensor | undefined;

  /** One link of the chain: the gradient in its own parameters, and in its input where something before it is trained. */
  const link = <Result extends tf.Tensor>(
    own: string[],
    input: tf.Tensor2D | undefined,
    compute: () => Result,
    from?: tf.Tensor,
  ): Result => {
    const through = input === undefined ? [] : [input];
    const found = pullback(compute, [...through, ...own.map((name) => trained.get(name)!)], from);
    dy?.dispose();
    dy = input === undefined ? undefined : found.gradients.shift();
    own.forEach((name, i) => {
      const gradient = found.gradients[i];
      if (gradient) gradients.set(name, sum(gradients.get(name), gradient));
    });
    return found.value;
  };

  try {
    const start = Math.max(0, first);
    inputs.push(tf.tidy(() => runUpTo(blocks, start)));
    for (let layer = start; layer < blocks.count; layer++) inputs.push(blocks.run(layer, inputs.at(-1)!));

    // A tied head has its table's place before the blocks, and its first gradient here.
    const table = embeddingTable(model.config);
    const head = names.filter((name) => place(name) === blocks.count || (name === table && model.config.tiedHead));
    const last = inputs.at(-1)!;
    value = link(head, first < blocks.count ? last : undefined, () => loss(blocks.norm(last)));
    for (let layer = blocks.count - 1; layer >= start && dy; layer--) {
      inputs.pop()!.dispose();
      const input = inputs.at(-1)!;
      const own = names.filter((name) => place(name) === layer);
      link(own, first < layer ? input : undefined, () => blocks.run(layer, input), dy).dispose();
    }
    if (first < 0 && dy)
      link(
        names.filter((name) => place(name) < 0),
        undefined,
        blocks.embed,
        dy,
      ).dispose();
    const unused = names.find((name) => !gradients.has(name));
    if (unused !== undefined)
      throw new DomainError('invalid_argument', `the loss does not depend on parameter ${unused}`);
    const inOrder = names.map((name) => gradients.get(name)!);
    gradients.clear();
    return { value, gradients: inOrder };
  } catch (error) {
    value?.dispose();
    throw error;
  } finally {
    tf.dispose([...inputs, ...gradients.values(), ...(dy ? [dy] : [])]);
  }
}

function placeIn({ config }: LanguageModel): (name: string) => Place {
  const { prefix, block, tokenEmbedding, positionEmbedding } = familyOf(config);
  const starts = Array.from({ length: config.layers }, (_, layer) => prefix + block(layer));
  const tables = [tokenEmbedding, positionEmbedding].map((table) => `${prefix}${table}.`);
  return (name) => {
    if (tables.some((table) => name.startsWith(table))) return -1;
    const layer = starts.findIndex((start) => name.startsWith(start));
    return layer < 0 ? config.layers : layer;
  };
}

function sum(before: tf.Tensor | undefined, more: tf.Tensor): tf.Tensor {
  if (!before) return more;
  const both = tf.add(before, more);
  tf.dispose([before, more]);
  return both;
}
