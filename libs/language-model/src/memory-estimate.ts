import { currentBackend, type KernelBuild } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import { familyOf, parameterCount } from './parameters';
import { largeVocabulary, vocabularyChunk } from './vocabulary-size';

/** A micro-batch as far as its memory goes. */
export interface BatchShape {
  /** B */
  sequences: number;
  /** T, padding included. */
  width: number;
  /** R: rows of [B*T] that the head runs on; one a sequence for a reward. */
  outputs: number;
  /** The loss has entropies beside log-probabilities: their gradient in the logits, and the sum of both. */
  withEntropy?: boolean;
}

const bytesPerNumber = 4;

/**
 * What a kernel build holds of what the formulas count for our fused kernels: operations composed of others keep every
 * intermediate result as well. Measured, highest of seven geometries (memory-estimate.test.ts).
 */
const held: Record<KernelBuild, { training: number; scoring: number; logits: number; attention: number }> = {
  'relaxed-simd': { training: 1, scoring: 1, logits: 1, attention: 0 },
  simd: { training: 1, scoring: 1, logits: 1, attention: 0 },
  tuned: { training: 3, scoring: 3, logits: 3.2, attention: 6 },
  plain: { training: 5.5, scoring: 3, logits: 5, attention: 6 },
};

/** The parameters of a model. */
export function weightBytes(config: ModelConfig): number {
  return bytesPerNumber * parameterCount(config);
}

/** AdamW's two moments of every parameter. @param trained numbers that are trained; default all */
export function momentBytes(config: ModelConfig, trained = parameterCount(config)): number {
  return 2 * bytesPerNumber * trained;
}

/**
 * Gradients at their most: a micro-batch's beside the sum of those before it, or the clipped beside the raw ones; and for a
 * table that the head shares both halves of its gradient and their sum.
 *
 * @param trained numbers that are trained; default all
 */
export function gradientBytes(config: ModelConfig, trained = parameterCount(config)): number {
  const { vocabularySize, hiddenSize, tiedHead } = config;
  const table = tiedHead && trained >= vocabularySize * hiddenSize ? vocabularySize * hiddenSize : 0;
  return 2 * bytesPerNumber * (trained + table);
}

/** Numbers of a token in the parts of one block, as the formulas here count them. */
interface BlockSizes {
  /** Results of all heads side by side. */
  attended: number;
  /** Query, key and value side by side. */
  packed: number;
  /** How often these are there: once more where they come from three products, and once more turned by their positions. */
  packedCopies: number;
  /** Results of the feed-forward half's inner width: before and after the activation; gated also of the second and the product. */
  inner: number;
  /** Results of the norms after each half. */
  postNorm: number;
}

function blockSizes(config: ModelConfig): BlockSizes {
  const { heads, keyHeads, headWidth, hiddenSize, innerSize, rotary } = config;
  const { slots } = familyOf(config);
  return {
    attended: heads * headWidth,
    packed: (heads + 2 * keyHeads) * headWidth,
    packedCopies: 1 + Number(slots.packed === undefined) + Number(rotary !== undefined),
    inner: (slots.gate === undefined ? 2 : 4) * innerSize,
    postNorm: slots.attentionPostNorm === undefined ? 0 : hiddenSize,
  };
}

/** Numbers of a token before the blocks, beside its embedding: that before it is scaled, and the sines and cosines of its position. */
function besideEmbedding(config: ModelConfig): number {
  const { hiddenSize, headWidth, rotary } = config;
  return (familyOf(config).scalesEmbedding ? hiddenSize : 0) + (rotary ? headWidth : 0);
}

/** Results of the size of the logits, of which capping makes three more. */
function logitResults({ head, logitSoftCap }: ModelConfig): number {
  return head === 'causal-lm' && logitSoftCap !== undefined ? 4 : 1;
}

/**
 * What a forward and backward pass keeps beside parameters and their gradients: all that was saved for the gradient, and the
 * gradient of every intermediate result, for TensorFlow.js frees both only when the pass ends.
 *
 * `B·T · [ L · (5 H + 2 A + 2 P + heads · T) + (L - 1) · (5 H + 2 I) + 2 H ] + R · [ (5 H + 2 I) + 4 H + 2 V ]` numbers, with
 * `A`, `P` and `I` as in `BlockSizes`, of GPT-2 H, 3 H and twice its inner size: the attention half of a block and its
 * feed-forward half, which in the last block sees the R rows alone; embedding; final norm; head. Norms after the halves count too.
 */
export function trainingBytes(config: ModelConfig, shape: BatchShape, build = currentBackend().kernelBuild): number {
  const { layers, heads, hiddenSize: h } = config;
  const { sequences, width, outputs } = shape;
  const { attended, packed, packedCopies, inner, postNorm } = blockSizes(config);
  // Saved: input, norm, packed, attended; gradients: attended, packed, norm, input, and the sum with the residual's.
  const attentionHalf = 5 * h + 2 * attended + 2 * packedCopies * packed + heads * width + 2 * postNorm;
  // Saved: input, norm, inner results; gradients: of these, norm, input, the sum.
  const feedForwardHalf = 5 * h + 2 * inner + 2 * postNorm;
  const trunk = layers * attentionHalf + (layers - 1) * feedForwardHalf + 2 * h + 2 * besideEmbedding(config);
  const head = feedForwardHalf + headNumbers(config, shape, build);
  return held[build].training * bytesPerNumber * (sequences * width * trunk + outputs * head);
}

/**
 * The same where blocks are checkpointed: the input of every block, and what one block's tape or the head's holds.
 *
 * `B·T · (L + 1) · H + max(B·T · (18 H + 4 I + heads · T), R · (4 H + 2 V))` numbers; at least what scoring takes.
 */
export function checkpointedBytes(
  config: ModelConfig,
  shape: BatchShape,
  build = currentBackend().kernelBuild,
): number {
  const { layers, hiddenSize: h } = config;
  const inputs = bytesPerNumber * shape.sequences * shape.width * (layers + 1) * h;
  // A model of one block has the last block's tape and the head's together, which here come one after the other.
  const oneBlock = trainingBytes({ ...config, layers: 1 }, { ...shape, outputs: shape.sequences * shape.width }, build);
  const noHead =
    oneBlock -
    held[build].training * bytesPerNumber * shape.sequences * shape.width * headNumbers(config, shape, build);
  const head = held[build].training * bytesPerNumber * shape.outputs * headNumbers(config, shape, build);
  return Math.max(inputs + Math.max(noHead, head), scoringBytes(config, shape, build));
}

/**
 * What a forward pass holds where nothing is differentiated, at its most: the hidden state after every block, and beside them
 * one block's intermediate results or the logits.
 *
 * `B·T · (L + 1) · H + max(B·T · (3 H + A + P + I), B·T · (H + A + P) + R · (3 H + I), R · (2 H + V))` numbers; the second is the
 * last block.
 */
export function scoringBytes(config: ModelConfig, shape: BatchShape, build = currentBackend().kernelBuild): number {
  const perRow = isChunked(config)
    ? chunkResults.forward * vocabularyChunk
    : held[build].logits * logitResults(config) * outputsOf(config);
  return forwardBytes(config, shape, build, perRow);
}

/** @param perRow numbers of the logits of one row */
function forwardBytes(config: ModelConfig, shape: BatchShape, build: KernelBuild, perRow: number): number {
  const { layers, heads, hiddenSize: h } = config;
  const { sequences, width, outputs } = shape;
  const { scoring, attention } = held[build];
  const { attended, packed, packedCopies, inner, postNorm } = blockSizes(config);
  const tokens = sequences * width;
  const attentionResults = h + attended + packedCopies * packed + postNorm;
  const attentionHalf = Math.max(scoring * attentionResults, h + 2 * packed + attention * heads * width);
  const feedForwardHalf = scoring * (3 * h + inner + postNorm);
  const wholeBlock = layers > 1 ? Math.max(attentionHalf, scoring * attentionResults + feedForwardHalf) : 0;
  const lastBlock = tokens * attentionHalf + outputs * feedForwardHalf;
  const head = outputs * (2 * h + perRow);
  return (
    bytesPerNumber *
    (tokens * ((layers + 1) * h + besideEmbedding(config)) + Math.max(tokens * wholeBlock, lastBlock, head))
  );
}

/**
 * What sampling holds: keys and values of every position, one layer's twice where ended rows leave; the pass over the prompts.
 *
 * `B · [ 2 K · capacity · (L + 1) ]` numbers, with the keys' width `K`, and what scoring the prompts takes, with logits as a whole.
 *
 * @param capacity tokens of prompt and response together
 */
export function samplingBytes(
  config: ModelConfig,
  { sequences, width, capacity }: Pick<BatchShape, 'sequences' | 'width'> & { capacity: number },
  build = currentBackend().kernelBuild,
): number {
  const { keyHeads, headWidth, layers } = config;
  const cache = bytesPerNumber * sequences * 2 * keyHeads * headWidth * capacity * (layers + 1);
  const perRow = held[build].logits * logitResults(config) * outputsOf(config);
  return cache + forwardBytes(config, { sequences, width, outputs: sequences }, build, perRow);
}

/** Results of the size of one chunk of logits that a pass over a large vocabulary has at once. */
const chunkResults = { forward: 7, backward: 14 };

/** Final norm and head, for each row, as the factor of training counts them. */
function headNumbers(config: ModelConfig, { withEntropy = false }: BatchShape, build: KernelBuild): number {
  const perRow = isChunked(config)
    ? (chunkResults.backward * vocabularyChunk) / held[build].training
    : (2 * logitResults(config) + (withEntropy ? 2 : 0)) * outputsOf(config);
  return 4 * config.hiddenSize + perRow;
}

function isChunked({ head, vocabularySize }: ModelConfig): boolean {
  return head === 'causal-lm' && vocabularySize > largeVocabulary;
}

function outputsOf({ head, vocabularySize }: ModelConfig): number {
  return head === 'reward' ? 1 : vocabularySize;
}
