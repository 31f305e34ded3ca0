import { parseModelConfig, type ModelConfig, type ModelHead } from './config';
import { createModel } from './create-model';
import type { LanguageModel } from './model';
import { familyOf } from './parameters';

/** What the config.json of a tiny model has beside its sizes; heads share keys and windows are shorter than most texts. */
const fieldsOf = {
  gpt2: { n_embd: 16, n_layer: 2, n_head: 2, n_positions: 160 },
  llama: { rope_scaling: { type: 'linear', factor: 2 }, attention_bias: true },
  mistral: { sliding_window: 5 },
  qwen2: { use_sliding_window: true, sliding_window: 7, max_window_layers: 1 },
  gemma: { num_key_value_heads: 1, head_dim: 8 },
  gemma2: { sliding_window: 6, query_pre_attn_scalar: 8, head_dim: 8, attn_logit_softcapping: 5 },
};

export const tinyFamilies = Object.keys(fieldsOf) as ModelConfig['architecture'][];

/** A model of a family, of 2 layers and with weights large enough that every part shows in its results. */
export function tinyOf(architecture: ModelConfig['architecture'], head: ModelHead = 'causal-lm'): LanguageModel {
  const fields = {
    ...{ model_type: architecture, vocab_size: 13, eos_token_id: 1, max_position_embeddings: 160 },
    ...{ hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
    ...{ ...fieldsOf[architecture], architectures: [familyOf({ architecture }).classes[head]], num_labels: 1 },
  };
  return createModel(parseModelConfig(fields, `a tiny ${architecture}`), 1, {
    ...{ tokenEmbedding: 0.6, positionEmbedding: 0.6, head: 0.6 },
    ...{ matrices: 'fan-in', outputProjectionsByDepth: true },
  });
}
