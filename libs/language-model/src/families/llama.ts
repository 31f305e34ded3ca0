import type { Family, FamilyConfig } from './family';
import type { ConfigFields } from '../config-fields';
import { readRotary } from '../rotary-frequencies';

const attention = ['query', 'key', 'value', 'attentionOutput'] as const;
const feedForward = ['gate', 'up', 'down'] as const;

/**
 * Llama: rotary positions, RMS norm, gated SiLU, query heads that share key heads.
 *
 * Source: Touvron et al. 2023, arXiv:2302.13971; transformers `modeling_llama.py`.
 */
export const llama: Family = {
  classes: { 'causal-lm': 'LlamaForCausalLM', reward: 'LlamaForSequenceClassification' },
  read(fields) {
    fields.allow('pretraining_tp', [1]);
    return {
      ...readSizes(fields, { normEpsilon: 1e-6 }),
      ...readRotary(fields, 1e4),
      activation: fields.choose('hidden_act', { silu: 'silu', swish: 'silu', gelu_pytorch_tanh: 'gelu' }, 'silu'),
      biases: [
        ...(fields.flag('attention_bias', false) ? attention : []),
        ...(fields.flag('mlp_bias', false) ? feedForward : []),
      ],
    };
  },
  isTiedByDefault: false,
  norm: 'rms',
  gainOffset: 0,
  isConv1d: false,
  scalesEmbedding: false,
  prefix: 'model.',
  tokenEmbedding: 'embed_tokens',
  finalNorm: 'norm',
  block: (layer) => `layers.${layer}.`,
  slots: {
    attentionNorm: 'input_layernorm',
    query: 'self_attn.q_proj',
    key: 'self_attn.k_proj',
    value: 'self_attn.v_proj',
    attentionOutput: 'self_attn.o_proj',
    feedForwardNorm: 'post_attention_layernorm',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
  },
  buffers: /rotary_emb\.inv_freq$/,
};

/** Mistral: Llama with a window in every layer. Source: Jiang et al. 2023, arXiv:2310.06825; `modeling_mistral.py`. */
export const mistral: Family = {
  ...llama,
  classes: { 'causal-lm': 'MistralForCausalLM', reward: 'MistralForSequenceClassification' },
  read(fields) {
    const config = { ...readSizes(fields, { normEpsilon: 1e-6 }), ...readRotary(fields, 1e4) };
    const window = fields.has('sliding_window') ? fields.optionalCount('sliding_window') : 4096;
    return {
      ...config,
      activation: fields.choose('hidden_act', { silu: 'silu' }, 'silu'),
      windows: new Array<number | undefined>(config.layers).fill(window),
      biases: [],
    };
  },
};

/** Qwen 2: Llama with biases on query, key and value. Source: arXiv:2407.10671; transformers `modeling_qwen2.py`. */
export const qwen2: Family = {
  ...llama,
  classes: { 'causal-lm': 'Qwen2ForCausalLM', reward: 'Qwen2ForSequenceClassification' },
  read(fields) {
    const config = { ...readSizes(fields, { normEpsilon: 1e-6 }), ...readRotary(fields, 1e4) };
    const window = fields.flag('use_sliding_window', false) ? fields.optionalCount('sliding_window', 4096) : undefined;
    const first = fields.count('max_window_layers', 28, 0);
    return {
      ...config,
      activation: fields.choose('hidden_act', { silu: 'silu' }, 'silu'),
      windows: windowsOf(fields, config.layers, window, (layer) => layer >= first),
      biases: ['query', 'key', 'value'],
    };
  },
};

/** Gemma's numbers and names are Llama's; gains are stored less 1, embeddings scaled, the activation is the tanh GELU. */
const gelus = { gelu: 'gelu', gelu_pytorch_tanh: 'gelu' } as const;

/** Gemma. Source: Mesnard et al. 2024, arXiv:2403.08295; transformers `modeling_gemma.py`. */
export const gemma: Family = {
  ...llama,
  classes: { 'causal-lm': 'GemmaForCausalLM', reward: 'GemmaForSequenceClassification' },
  read: (fields) => ({
    ...readSizes(fields, { normEpsilon: 1e-6, headWidth: 256, maxPositions: 8192 }),
    ...readRotary(fields, 1e4),
    // Earlier releases read hidden_activation first; "gelu" in either means the tanh form.
    activation: fields.choose(fields.has('hidden_activation') ? 'hidden_activation' : 'hidden_act', gelus, 'gelu'),
    biases: fields.flag('attention_bias', false) ? [...attention] : [],
  }),
  isTiedByDefault: true,
  gainOffset: 1,
  scalesEmbedding: true,
};

/** Gemma 2: norms after each half too, caps on scores and logits, a window in every other layer. Source: arXiv:2408.00118. */
export const gemma2: Family = {
  ...gemma,
  classes: { 'causal-lm': 'Gemma2ForCausalLM', reward: 'Gemma2ForSequenceClassification' },
  read(fields) {
    const config = gemma.read(fields);
    const window = fields.optionalCount('sliding_window', 4096);
    const attentionSoftCap = fields.optionalPositive('attn_logit_softcapping', 50);
    const logitSoftCap = fields.optionalPositive('final_logit_softcapping', 30);
    return {
      ...config,
      attentionScale: 1 / Math.sqrt(fields.positive('query_pre_attn_scalar', 256)),
      ...(attentionSoftCap !== undefined && { attentionSoftCap }),
      ...(logitSoftCap !== undefined && { logitSoftCap }),
      windows: windowsOf(fields, config.layers, window, (layer) => layer % 2 === 0),
    };
  },
  slots: {
    ...llama.slots,
    attentionPostNorm: 'post_attention_layernorm',
    feedForwardNorm: 'pre_feedforward_layernorm',
    feedForwardPostNorm: 'post_feedforward_layernorm',
  },
};

function readSizes(
  fields: ConfigFields,
  defaults: { normEpsilon: number; headWidth?: number; maxPositions?: number },
): Omit<FamilyConfig, 'activation' | 'biases'> {
  const [hiddenSize, heads, layers] = [
    fields.count('hidden_size'),
    fields.count('num_attention_heads'),
    fields.count('num_hidden_layers'),
  ];
  const keyHeads = fields.count('num_key_value_heads', heads);
  if (heads % keyHeads !== 0)
    fields.problem(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyHeads}`);
  const headWidth = fields.count('head_dim', defaults.headWidth ?? hiddenSize / heads);
  if (headWidth % 2 !== 0) fields.problem(`head_dim is ${headWidth}, rotary positions need an even number`);
  return {
    vocabularySize: fields.count('vocab_size'),
    hiddenSize,
    innerSize: fields.count('intermediate_size'),
    layers,
    heads,
    keyHeads,
    headWidth,
    maxPositions: fields.count('max_position_embeddings', defaults.maxPositions),
    normEpsilon: fields.positive('rms_norm_eps', defaults.normEpsilon),
    attentionScale: 1 / Math.sqrt(headWidth),
    windows: new Array<undefined>(layers).fill(undefined),
  };
}

/** The window of each layer: as `layer_types` says, else where `isWindowed` by the family's custom. */
function windowsOf(
  fields: ConfigFields,
  layers: number,
  window: number | undefined,
  isWindowed: (layer: number) => boolean,
): (number | undefined)[] {
  const types = fields.list('layer_types', ['full_attention', 'sliding_attention'], layers);
  return Array.from({ length: layers }, (_, layer) =>
    (types ? types[layer] === 'sliding_attention' : isWindowed(layer)) ? window : undefined,
  );
}
