import type { Family } from './family';
import { checkLayersAlike, readActivation, readRotaryDecoder, rotaryDecoder } from './rotary-decoder';

/**
 * Mistral: Llama with a window in every layer, or in none where `sliding_window` is null.
 *
 * Source: Jiang et al. 2023, arXiv:2310.06825; transformers `modeling_mistral.py`.
 */
export const mistral: Family = {
  ...rotaryDecoder,
  classes: { 'causal-lm': 'MistralForCausalLM', reward: 'MistralForSequenceClassification' },
  read(fields) {
    const config = readRotaryDecoder(fields, { maxPositions: 131_072, keyHeads: 8 });
    const window = fields.optionalCount('sliding_window', 4096);
    checkLayersAlike(fields, config.layers, window === undefined ? 'full_attention' : 'sliding_attention');
    return { ...config, activation: readActivation(fields), windows: config.windows.map(() => window) };
  },
};
