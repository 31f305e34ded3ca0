import { currentBackend, type KernelBuild } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import { parameterCount } from './parameters';

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

/**
 * What a forward and backward pass keeps beside parameters and their gradients: all that was saved for the gradient, and the
 * gradient of every intermediate result, for TensorFlow.js frees both only when the pass ends.
 *
 * `B·T · [ L · (13 H + heads · T) + (L - 1) · (5 H + 4 I) + 2 H ] + R · [ (5 H + 4 I) + 4 H + 2 V ]` numbers: the attention
 * half of a block and its feed-forward half, which in the last block sees the R rows alone; embedding; final norm; head.
 */
export function trainingBytes(config: ModelConfig, shape: BatchShape, build = currentBackend().kernelBuild): number {
  const { layers, heads, hiddenSize: h, innerSize } = config;
  const { sequences, width, outputs } = shape;
  // Saved: input, norm, qkv 3 H, attended; gradients: attended, qkv 3 H, norm, input, and the sum with the residual's.
  const attentionHalf = 13 * h + heads * width;
  // Saved: input, norm, inner layer before and after GELU; gradients: of the two inner ones, norm, input, the sum.
  const feedForwardHalf = 5 * h + 4 * innerSize;
  const trunk = layers * attentionHalf + (layers - 1) * feedForwardHalf + 2 * h;
  const head = feedForwardHalf + headNumbers(config, shape);
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
    oneBlock - held[build].training * bytesPerNumber * shape.sequences * shape.width * headNumbers(config, shape);
  const head = held[build].training * bytesPerNumber * shape.outputs * headNumbers(config, shape);
  return Math.max(inputs + Math.max(noHead, head), scoringBytes(config, shape, build));
}

/**
 * What a forward pass holds where nothing is differentiated, at its most: the hidden state after every block, and beside them
 * one block's intermediate results or the logits.
 *
 * `B·T · (L + 1) · H + max(B·T · (8 H + 2 I), B·T · 5 H + R · (3 H + 2 I), R · (2 H + V))` numbers; the second is the last block.
 */
export function scoringBytes(config: ModelConfig, shape: BatchShape, build = currentBackend().kernelBuild): number {
  const { layers, heads, hiddenSize: h, innerSize } = config;
  const { sequences, width, outputs } = shape;
  const { scoring, logits, attention } = held[build];
  const tokens = sequences * width;
  const attentionHalf = Math.max(scoring * 5 * h, 7 * h + attention * heads * width);
  const feedForwardHalf = scoring * (3 * h + 2 * innerSize);
  const wholeBlock = layers > 1 ? Math.max(attentionHalf, scoring * 5 * h + feedForwardHalf) : 0;
  const lastBlock = tokens * attentionHalf + outputs * feedForwardHalf;
  const head = outputs * (2 * h + logits * outputsOf(config));
  return bytesPerNumber * (tokens * (layers + 1) * h + Math.max(tokens * wholeBlock, lastBlock, head));
}

/**
 * What sampling holds: keys and values of every position, one layer's twice where ended rows leave; the pass over the prompts.
 *
 * `B · [ 2 H · capacity · (L + 1) ]` numbers and `scoringBytes` of the prompts.
 *
 * @param capacity tokens of prompt and response together
 */
export function samplingBytes(
  config: ModelConfig,
  { sequences, width, capacity }: Pick<BatchShape, 'sequences' | 'width'> & { capacity: number },
  build = currentBackend().kernelBuild,
): number {
  const cache = bytesPerNumber * sequences * 2 * config.hiddenSize * capacity * (config.layers + 1);
  return cache + scoringBytes(config, { sequences, width, outputs: sequences }, build);
}

/** Final norm and head, for each row. */
function headNumbers(config: ModelConfig, { withEntropy = false }: BatchShape): number {
  return 4 * config.hiddenSize + (withEntropy ? 4 : 2) * outputsOf(config);
}

function outputsOf({ head, vocabularySize }: ModelConfig): number {
  return head === 'reward' ? 1 : vocabularySize;
}
