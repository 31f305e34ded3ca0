import type * as tf from '@tensorflow/tfjs';

/** A low-rank change of one linear module: `y += scaling · B (A x)`. */
export interface LowRankPair {
  /** [r, in] */
  a: tf.Variable;
  /** [out, r] */
  b: tf.Variable;
  /** alpha / r, or alpha / sqrt(r) with rank-stabilised scaling (arXiv:2312.03732). */
  scaling: number;
}

/**
 * A low-rank adapter on a model whose own parameters are frozen.
 *
 * Source: Hu et al. 2021, arXiv:2106.09685.
 */
export interface Adapter {
  /** By the module that each changes, for example `model.layers.0.self_attn.q_proj`. */
  readonly pairs: ReadonlyMap<string, LowRankPair>;
  /** Parameters in the place of the model's, by its names: the modules that are trained whole. */
  readonly replaced: ReadonlyMap<string, tf.Variable>;
}

/** What of an adapter is trained, by name; in the order in which it was read or made. */
export function adapterParameters({ pairs, replaced }: Adapter): Map<string, tf.Variable> {
  const ofPairs = [...pairs].flatMap(([name, { a, b }]): [string, tf.Variable][] => [
    [`${name}.lora_A.weight`, a],
    [`${name}.lora_B.weight`, b],
  ]);
  return new Map([...ofPairs, ...replaced]);
}
