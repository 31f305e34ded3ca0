import { embedding, layerNorm, linear, rmsNorm } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { LanguageModel } from './model';
import { familyOf } from './parameters';

/** A model's parameters by what they compute, whatever adapter changes them. Names are without `.weight`. */
export interface Modules {
  /** `x W + b`, an adapter's change on top, and `residual` added. */
  linear(name: string, x: tf.Tensor2D, residual?: tf.Tensor2D): tf.Tensor2D;
  /** What an adapter adds to `linear`: `x · table^T`, with `x` [N, r] scaled and `table` [out, r]. */
  change(name: string, x: tf.Tensor2D): { x: tf.Tensor2D; table: tf.Tensor2D } | undefined;
  norm(name: string, x: tf.Tensor2D): tf.Tensor2D;
  embedding(name: string, ids: Int32Array, positions?: { name: string; ids: Int32Array }): tf.Tensor2D;
  /** A matrix as it is stored. */
  table(name: string): tf.Tensor2D;
}

/** The modules of a model. */
export function modulesOf({ config, parameters, adapter }: LanguageModel): Modules {
  const { isConv1d, norm, gainOffset } = familyOf(config);
  const parameter = (name: string) => adapter?.replaced.get(name) ?? parameters.get(name);
  const matrix = (name: string) => parameter(`${name}.weight`) as tf.Tensor as tf.Tensor2D;
  const vector = (name: string) => parameter(name) as tf.Tensor as tf.Tensor1D;
  const change: Modules['change'] = (name, x) => {
    const pair = adapter?.pairs.get(name);
    if (!pair) return undefined;
    const low = linear(x, pair.a as tf.Tensor as tf.Tensor2D, { transposeWeight: true });
    return { x: tf.mul(low, pair.scaling), table: pair.b as tf.Tensor as tf.Tensor2D };
  };
  return {
    linear(name, x, residual) {
      const bias = vector(`${name}.bias`);
      // Heads are stored [out, in] in every family.
      const transposeWeight = !isConv1d || /^(lm_head|score)$/.test(name);
      const y = linear(x, matrix(name), { ...(bias && { bias }), ...(residual && { residual }), transposeWeight });
      const more = change(name, x);
      return more ? linear(more.x, more.table, { transposeWeight: true, residual: y }) : y;
    },
    change,
    norm: (name, x) =>
      norm === 'layer'
        ? layerNorm(x, vector(`${name}.weight`), vector(`${name}.bias`), config.normEpsilon)
        : rmsNorm(x, vector(`${name}.weight`), { epsilon: config.normEpsilon, gainOffset }),
    embedding: (name, ids, positions) =>
      embedding(matrix(name), ids, positions && { table: matrix(positions.name), ids: positions.ids }),
    table: matrix,
  };
}
