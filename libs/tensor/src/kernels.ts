import type * as tf from '@tensorflow/tfjs';
import type { FileTensor } from './safetensors-file';

/** Parts of `linear` beside the product. */
export interface LinearOptions {
  /** [O], added to every row. */
  bias?: tf.Tensor1D;
  /** [M, O], added to the result. */
  residual?: tf.Tensor2D;
  /** True where the weight is stored [O, I]: the head that shares the embedding table. */
  transposeWeight?: boolean;
}

/** A second table whose rows are added to those of the first: position embeddings. */
export interface PositionRows {
  /** [maxPositions, H] */
  table: tf.Tensor2D;
  /** [N] rows of `table` */
  ids: Int32Array;
}

/** How the heads of an attention lie side by side in a row, and what each computes. */
export interface AttentionHeads {
  /** Of the queries. */
  heads: number;
  /** Of keys and values: query head i looks at key head floor(i · keyHeads / heads); divides `heads`. */
  keyHeads: number;
  /** W: numbers of one head. */
  headWidth: number;
  /** Times the products of queries and keys. */
  scale: number;
  /** Scores become `cap · tanh(score / cap)`; undefined: as they are. */
  softCap?: number | undefined;
  /** A token sees itself and `window - 1` tokens before it; undefined: all before it. */
  window?: number | undefined;
}

/** Keys and values of the tokens seen so far, one row of positions for each sequence. */
export interface KeyValueCache {
  readonly batch: number;
  /** Positions that fit. */
  capacity: number;
  /** [B, capacity, keyHeads · W], laid out as the kernels like it; a new tensor may stand here after each call. */
  keys: tf.Tensor;
  /** As `keys`. */
  values: tf.Tensor;
  dispose(): void;
}

/** Where tokens stand, as rotary embeddings need it: cosine and sine of every frequency's angle. */
export interface RotaryAngles {
  /** [N, W / 2] */
  cosines: tf.Tensor2D;
  /** [N, W / 2] */
  sines: tf.Tensor2D;
}

/** The numbers of one AdamW step: `p = p * decay - rate * m / (sqrt(v) * rootScale + epsilon)`. */
export interface AdamWStep {
  beta1: number;
  beta2: number;
  rate: number;
  decay: number;
  rootScale: number;
  epsilon: number;
}

/** What AdamW remembers of its parameters, laid out as it is fastest on a backend. */
export interface Moments {
  /** Updates parameters and moments; in place where the implementation can. */
  step(gradients: tf.Tensor[], step: AdamWStep): void;
  /** The moments, each of the shape of its parameter; the tensors hold until the next call and are not the caller's. */
  read(): { first: tf.Tensor[]; second: tf.Tensor[] };
  write(state: { first: Float32Array[]; second: Float32Array[] }): void;
  dispose(): void;
}

/** A file of tensors that a backend reads without JavaScript. */
export interface MappedFile {
  /** Whether the values of a tensor can be used where they are in the file. */
  isAligned(tensor: FileTensor): boolean;
  /** A copy as float32. */
  float32(tensor: FileTensor): tf.Tensor;
  /** A BF16 tensor as it is in the file, for `linear`, `embedding` and `rowsOf` alone; not copied where it is aligned. */
  bfloat16(tensor: FileTensor): tf.Tensor;
  /** Tensors stay. */
  close(): void;
}

/**
 * One way to compute what a decoder and its training need. The functions of `dense.ts`, `attention.ts` and `tokens.ts` check
 * shapes and ranges and then call the set that the open backend chose, so an implementation may trust its arguments. All are
 * differentiable but those of the cache and the last three; formulas stand with the public functions.
 */
export interface Kernels {
  linear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions): tf.Tensor2D;
  attention(packed: tf.Tensor2D, batch: number, heads: AttentionHeads): tf.Tensor2D;
  cachedAttention(packed: tf.Tensor2D, cache: KeyValueCache, starts: Int32Array, heads: AttentionHeads): tf.Tensor2D;
  /** The cache with room for more positions, what it holds kept. */
  growCache(cache: KeyValueCache, capacity: number, keyHeads: number): void;
  rotate(packed: tf.Tensor2D, angles: RotaryAngles, rotated: number): tf.Tensor2D;
  layerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D, epsilon: number): tf.Tensor2D;
  rmsNorm(x: tf.Tensor2D, gain: tf.Tensor1D, epsilon: number, gainOffset: number): tf.Tensor2D;
  gelu(x: tf.Tensor2D): tf.Tensor2D;
  silu(x: tf.Tensor2D): tf.Tensor2D;
  logProbability(logits: tf.Tensor2D, ids: Int32Array): tf.Tensor1D;
  entropy(logits: tf.Tensor2D): tf.Tensor1D;
  embedding(table: tf.Tensor2D, ids: Int32Array, positions?: PositionRows): tf.Tensor2D;
  /** Sum over all elements of all tensors, float64. */
  sumOfSquares(tensors: tf.Tensor[]): Promise<number>;
  /** Moments of zeros for these parameters. */
  adamw(parameters: tf.Variable[]): Moments;
  /** Where the backend can hold weights as BFLOAT16. @param descriptor of the open file @param bytes of the file */
  mapFile?(descriptor: number, bytes: number): MappedFile | undefined;
}
