import { embedding, gelu, layerNorm, linear } from '@surefoot/tensor';
import type * as tf from '@tensorflow/tfjs';
import type { Architecture, Weights } from './architecture';

/**
 * GPT-2: learned positions, layer norm before each half of a block, GELU in its tanh form.
 *
 * Linear layers are transformers' Conv1D, stored [in, out]. Names of files without `transformer.` are the trunk's alone.
 *
 * Source: Radford et al. 2019; transformers `modeling_gpt2.py`.
 */
export const gpt2: Architecture = {
  classes: { 'causal-lm': 'GPT2LMHeadModel', reward: 'GPT2ForSequenceClassification' },
  configNames: {
    vocabularySize: 'vocab_size',
    hiddenSize: 'n_embd',
    innerSize: 'n_inner',
    layers: 'n_layer',
    heads: 'n_head',
    maxPositions: 'n_positions',
    layerNormEpsilon: 'layer_norm_epsilon',
  },
  allowedValues: {
    activation_function: ['gelu_new', 'gelu_pytorch_tanh'],
    scale_attn_weights: [true],
    scale_attn_by_inverse_layer_idx: [false],
    add_cross_attention: [false],
  },
  embeddingTable: 'transformer.wte.weight',
  trunkShapes({ vocabularySize, maxPositions, hiddenSize: h, innerSize, layers }) {
    const norm = (name: string): [string, number[]][] => [
      [`${name}.weight`, [h]],
      [`${name}.bias`, [h]],
    ];
    const conv1d = (name: string, input: number, output: number): [string, number[]][] => [
      [`${name}.weight`, [input, output]],
      [`${name}.bias`, [output]],
    ];
    const block = (prefix: string) => [
      ...norm(`${prefix}ln_1`),
      ...conv1d(`${prefix}attn.c_attn`, h, 3 * h),
      ...conv1d(`${prefix}attn.c_proj`, h, h),
      ...norm(`${prefix}ln_2`),
      ...conv1d(`${prefix}mlp.c_fc`, h, innerSize),
      ...conv1d(`${prefix}mlp.c_proj`, innerSize, h),
    ];
    return [
      ['transformer.wte.weight', [vocabularySize, h]],
      ['transformer.wpe.weight', [maxPositions, h]],
      ...Array.from({ length: layers }, (_, layer) => block(gpt2.blockPrefix(layer))).flat(),
      ...norm('transformer.ln_f'),
    ];
  },
  blockPrefix: (layer) => `transformer.h.${layer}.`,
  canonicalName(name) {
    if (/(^|\.)attn\.(bias|masked_bias)$/.test(name)) return undefined;
    return /^(transformer|lm_head|score)\./.test(name) ? name : `transformer.${name}`;
  },
  roleOf(name) {
    if (name.endsWith('.bias')) return 'bias';
    if (/\.ln_\w+\.weight$/.test(name)) return 'gain';
    if (name === 'transformer.wte.weight') return 'token-embedding';
    if (name === 'transformer.wpe.weight') return 'position-embedding';
    return name.endsWith('.c_proj.weight') ? 'output-projection' : 'matrix';
  },
  embed: (trunk, ids, positions) =>
    embedding(trunk('transformer.wte.weight') as tf.Tensor2D, ids, {
      table: trunk('transformer.wpe.weight') as tf.Tensor2D,
      ids: positions,
    }),
  attentionInput: (block, x, config) => conv1d(block, 'attn.c_attn', norm(block, 'ln_1', x, config.layerNormEpsilon)),
  attentionOutput: (block, attended, x) => conv1d(block, 'attn.c_proj', attended, x),
  feedForward: (block, x, config) => {
    const inner = gelu(conv1d(block, 'mlp.c_fc', norm(block, 'ln_2', x, config.layerNormEpsilon)));
    return conv1d(block, 'mlp.c_proj', inner, x);
  },
  finalNorm: (trunk, x, config) => norm(trunk, 'transformer.ln_f', x, config.layerNormEpsilon),
};

function norm(weights: Weights, name: string, x: tf.Tensor2D, epsilon: number): tf.Tensor2D {
  return layerNorm(x, weights(`${name}.weight`) as tf.Tensor1D, weights(`${name}.bias`) as tf.Tensor1D, epsilon);
}

function conv1d(weights: Weights, name: string, x: tf.Tensor2D, residual?: tf.Tensor2D): tf.Tensor2D {
  const bias = weights(`${name}.bias`) as tf.Tensor1D;
  return linear(x, weights(`${name}.weight`) as tf.Tensor2D, { bias, ...(residual && { residual }) });
}
