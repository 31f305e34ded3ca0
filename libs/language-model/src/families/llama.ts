import type { Family } from './family';
import {
  attentionSlots,
  checkLayersAlike,
  feedForwardSlots,
  readActivation,
  readRotaryDecoder,
  rotaryDecoder,
} from './rotary-decoder';

/**
 * Llama: rotary positions, RMS norm, gated SiLU, query heads that share key heads. `pretraining_tp` splits products without
 * changing what they are, so it is not read.
 *
 * Source: Touvron et al. 2023, arXiv:2302.13971; transformers `modeling_llama.py`.
 */
export const llama: Family = {
  ...rotaryDecoder,
  classes: { 'causal-lm': 'LlamaForCausalLM', reward: 'LlamaForSequenceClassification' },
  read(fields) {
    const config = readRotaryDecoder(fields, { maxPositions: 2048 });
    checkLayersAlike(fields, config.layers);
    const biases = [
      ...(fields.flag('attention_bias', false) ? attentionSlots : []),
      ...(fields.flag('mlp_bias', false) ? feedForwardSlots : []),
    ];
    return { ...config, activation: readActivation(fields), biases };
  },
};
