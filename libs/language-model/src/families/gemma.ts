import type { ConfigFields } from '../config-fields';
import type { Family, FamilyConfig } from './family';
import {
  attentionSlots,
  checkLayersAlike,
  readRotaryDecoder,
  readWindows,
  rotaryDecoder,
  tanhGelus,
} from './rotary-decoder';

/**
 * Gemma: Llama whose gains are stored less 1, with scaled embeddings and GELU in its tanh form.
 *
 * transformers 5 reads `hidden_act`, where `gelu` means the tanh form too; 4 reads `hidden_activation` where that is set, else
 * takes the tanh form. So both may be given, and neither may ask for anything else.
 *
 * Source: Mesnard et al. 2024, arXiv:2403.08295; transformers `modeling_gemma.py`.
 */
export const gemma: Family = {
  ...rotaryDecoder,
  classes: { 'causal-lm': 'GemmaForCausalLM', reward: 'GemmaForSequenceClassification' },
  read(fields) {
    fields.choose('hidden_activation', tanhGelus, 'gelu');
    const activation = fields.choose('hidden_act', { gelu: 'gelu', ...tanhGelus } as const, 'gelu');
    const config = readGemma(fields, { keyHeads: 16 });
    checkLayersAlike(fields, config.layers);
    return { ...config, activation };
  },
  isTiedByDefault: true,
  gainOffset: 1,
  scalesEmbedding: true,
};

/**
 * Gemma 2: Gemma with norms after each half too, caps on scores and logits, a scale of its own, a window in every other layer.
 * Of the two names of the activation only `hidden_activation` counts.
 *
 * Source: Riviere et al. 2024, arXiv:2408.00118; transformers `modeling_gemma2.py`.
 */
export const gemma2: Family = {
  ...gemma,
  classes: { 'causal-lm': 'Gemma2ForCausalLM', reward: 'Gemma2ForSequenceClassification' },
  read(fields) {
    const config = readGemma(fields, { keyHeads: 4 });
    const attentionSoftCap = fields.optionalPositive('attn_logit_softcapping', 50);
    const logitSoftCap = fields.optionalPositive('final_logit_softcapping', 30);
    const window = fields.optionalCount('sliding_window', 4096);
    return {
      ...config,
      activation: fields.choose('hidden_activation', tanhGelus, 'gelu'),
      attentionScale: 1 / Math.sqrt(fields.positive('query_pre_attn_scalar', 256)),
      ...(attentionSoftCap !== undefined && { attentionSoftCap }),
      ...(logitSoftCap !== undefined && { logitSoftCap }),
      windows: readWindows(fields, config.layers, window, (layer) => layer % 2 === 0),
    };
  },
  slots: {
    ...gemma.slots,
    attentionPostNorm: 'post_attention_layernorm',
    feedForwardNorm: 'pre_feedforward_layernorm',
    feedForwardPostNorm: 'post_feedforward_layernorm',
  },
};

function readGemma(fields: ConfigFields, { keyHeads }: { keyHeads: number }): Omit<FamilyConfig, 'activation'> {
  fields.allow('use_bidirectional_attention', [false, null]);
  const config = readRotaryDecoder(fields, { maxPositions: 8192, keyHeads, headWidth: 256 });
  return { ...config, biases: fields.flag('attention_bias', false) ? [...attentionSlots] : [] };
}
