import type { Family } from './family';
import { mostLayers, tanhGelus } from './rotary-decoder';

/**
 * GPT-2: learned positions, layer norm before each half of a block, GELU in its tanh form, biases everywhere.
 *
 * Source: Radford et al. 2019; transformers `modeling_gpt2.py`.
 */
export const gpt2: Family = {
  classes: { 'causal-lm': 'GPT2LMHeadModel', reward: 'GPT2ForSequenceClassification' },
  read(fields) {
    fields.allow('scale_attn_weights', [true]);
    fields.allow('scale_attn_by_inverse_layer_idx', [false]);
    fields.allow('add_cross_attention', [false]);
    const [hiddenSize, heads, layers] = [
      fields.count('n_embd'),
      fields.count('n_head'),
      fields.count('n_layer', undefined, { most: mostLayers }),
    ];
    if (hiddenSize % heads !== 0) fields.problem(`hidden size ${hiddenSize} is not a multiple of ${heads} heads`);
    const headWidth = hiddenSize / heads;
    return {
      vocabularySize: fields.count('vocab_size'),
      hiddenSize,
      innerSize: fields.count('n_inner', 4 * hiddenSize),
      layers,
      heads,
      keyHeads: heads,
      headWidth,
      maxPositions: fields.count('n_positions'),
      normEpsilon: fields.positive('layer_norm_epsilon', 1e-5),
      activation: fields.choose('activation_function', tanhGelus, 'gelu'),
      attentionScale: 1 / Math.sqrt(headWidth),
      windows: new Array<undefined>(layers).fill(undefined),
      biases: ['packed', 'attentionOutput', 'up', 'down'],
    };
  },
  isTiedByDefault: true,
  norm: 'layer',
  gainOffset: 0,
  isConv1d: true,
  scalesEmbedding: false,
  prefix: 'transformer.',
  tokenEmbedding: 'wte',
  positionEmbedding: 'wpe',
  finalNorm: 'ln_f',
  block: (layer) => `h.${layer}.`,
  slots: {
    attentionNorm: 'ln_1',
    packed: 'attn.c_attn',
    attentionOutput: 'attn.c_proj',
    feedForwardNorm: 'ln_2',
    up: 'mlp.c_fc',
    down: 'mlp.c_proj',
  },
  buffers: /(^|\.)attn\.(bias|masked_bias)$/,
};
