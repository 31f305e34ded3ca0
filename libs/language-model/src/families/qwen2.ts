import type { Family } from './family';
import { readActivation, readRotaryDecoder, readWindows, rotaryDecoder } from './rotary-decoder';

/**
 * Qwen 2: Llama with biases on query, key and value, and a window from some layer on where it is switched on.
 *
 * Source: arXiv:2407.10671; transformers `modeling_qwen2.py`.
 */
export const qwen2: Family = {
  ...rotaryDecoder,
  classes: { 'causal-lm': 'Qwen2ForCausalLM', reward: 'Qwen2ForSequenceClassification' },
  read(fields) {
    const config = readRotaryDecoder(fields, { maxPositions: 32_768, keyHeads: 32 });
    const stated = fields.optionalCount('sliding_window', 4096);
    const window = fields.flag('use_sliding_window', false) ? stated : undefined;
    const first = fields.count('max_window_layers', 28, { least: 0 });
    return {
      ...config,
      activation: readActivation(fields),
      windows: readWindows(fields, config.layers, window, (layer) => window !== undefined && layer >= first),
      biases: ['query', 'key', 'value'],
    };
  },
};
