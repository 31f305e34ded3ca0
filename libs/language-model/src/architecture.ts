import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig, ModelHead, SizeField } from './config';
import { gpt2 } from './gpt2';

/** A parameter by its name; inside a block the name is the part after the block's prefix. */
export type Weights = (name: string) => tf.Tensor;

/** `output-projection`: a matrix whose product is added to the hidden state. */
export type ParameterRole = 'token-embedding' | 'position-embedding' | 'gain' | 'bias' | 'matrix' | 'output-projection';

/** What distinguishes one family of decoders from another; `decoder.ts` is what they share. */
export interface Architecture {
  /** Class of transformers that loads a model with this head; stands in config.json. */
  classes: Record<ModelHead, string>;
  /** Names of the sizes in config.json. */
  configNames: Record<SizeField, string>;
  /** Fields of config.json that would change the computation, with the values computed here; absent is fine. */
  allowedValues: Record<string, unknown[]>;
  /** Parameters of the trunk with their shapes, in the order of the file. */
  trunkShapes(config: ModelConfig): [string, number[]][];
  /** Prefix of a block's parameters. */
  blockPrefix(layer: number): string;
  /** Name that a parameter of a file has in our files, or undefined for a buffer that carries no weight. */
  canonicalName(name: string): string | undefined;
  /** What a parameter of the trunk is, for its initial values. */
  roleOf(name: string): ParameterRole;
  /** Name of the embedding table [V, H], which a tied head shares. */
  embeddingTable: string;
  /** Token ids and their positions to the first hidden state, [N, H]. */
  embed(trunk: Weights, ids: Int32Array, positions: Int32Array): tf.Tensor2D;
  /** Hidden state [N, H] to packed query, key, value [N, 3H]. */
  attentionInput(block: Weights, x: tf.Tensor2D, config: ModelConfig): tf.Tensor2D;
  /** Attended values [N, H] back to the hidden state, which is added. */
  attentionOutput(block: Weights, attended: tf.Tensor2D, x: tf.Tensor2D): tf.Tensor2D;
  /** The feed-forward half of a block, hidden state added. */
  feedForward(block: Weights, x: tf.Tensor2D, config: ModelConfig): tf.Tensor2D;
  finalNorm(trunk: Weights, x: tf.Tensor2D, config: ModelConfig): tf.Tensor2D;
}

export const architectures = { gpt2 } satisfies Record<string, Architecture>;
