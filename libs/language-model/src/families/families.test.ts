import { describe, expect, test } from '@jest/globals';
import { modelConfigJson, parseModelConfig } from '../config';

// Fields as the published folders have them; of llama 3.2 and gemma as transformers 5 writes them too.
const llama3 = {
  ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], attention_bias: false, attention_dropout: 0 },
  ...{ bos_token_id: 128000, eos_token_id: 128009, hidden_act: 'silu', hidden_size: 4096, initializer_range: 0.02 },
  ...{ intermediate_size: 14336, max_position_embeddings: 8192, mlp_bias: false, num_attention_heads: 32 },
  ...{ num_hidden_layers: 32, num_key_value_heads: 8, pretraining_tp: 1, rms_norm_eps: 1e-5, rope_scaling: null },
  ...{ rope_theta: 500000, tie_word_embeddings: false, torch_dtype: 'bfloat16', transformers_version: '4.40.0' },
  ...{ use_cache: true, vocab_size: 128256 },
};
const llama3Reward = {
  ...{ ...llama3, architectures: ['LlamaForSequenceClassification'], id2label: { '0': 'LABEL_0' } },
  ...{ label2id: { LABEL_0: 0 }, pad_token_id: 128256, vocab_size: 128257, problem_type: null },
};
const stretched = { factor: 32, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 8192 };
const llama32 = {
  ...{ ...llama3, eos_token_id: [128001, 128008, 128009], head_dim: 64, hidden_size: 2048, intermediate_size: 8192 },
  ...{ max_position_embeddings: 131072, num_hidden_layers: 16, tie_word_embeddings: true },
  rope_scaling: { ...stretched, rope_type: 'llama3' },
};
const without = (fields: Record<string, unknown>, ...names: string[]) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
const llama32Of5 = {
  ...{
    ...without(llama32, 'rope_scaling', 'rope_theta', 'torch_dtype'),
    dtype: 'bfloat16',
    transformers_version: '5.0.0',
    pad_token_id: null,
  },
  rope_parameters: { ...stretched, rope_theta: 500000, rope_type: 'llama3' },
};
const gemma2b = {
  ...{ model_type: 'gemma', architectures: ['GemmaForCausalLM'], attention_bias: false, attention_dropout: 0 },
  ...{ bos_token_id: 2, eos_token_id: 1, head_dim: 256, hidden_act: 'gelu', hidden_activation: null },
  ...{ hidden_size: 2048, initializer_range: 0.02, intermediate_size: 16384, max_position_embeddings: 8192 },
  ...{ num_attention_heads: 8, num_hidden_layers: 18, num_key_value_heads: 1, pad_token_id: 0, rms_norm_eps: 1e-6 },
  ...{ rope_scaling: null, rope_theta: 10000, torch_dtype: 'bfloat16', use_cache: true, vocab_size: 256000 },
};
const gemma2 = {
  ...{ ...gemma2b, model_type: 'gemma2', architectures: ['Gemma2ForCausalLM'], attn_logit_softcapping: 50 },
  ...{
    cache_implementation: 'hybrid',
    final_logit_softcapping: 30,
    hidden_act: 'gelu_pytorch_tanh',
    hidden_size: 2304,
  },
  ...{ hidden_activation: 'gelu_pytorch_tanh', intermediate_size: 9216, num_hidden_layers: 26, num_key_value_heads: 4 },
  ...{ query_pre_attn_scalar: 256, sliding_window: 4096 },
};
const mistral = {
  ...{ model_type: 'mistral', architectures: ['MistralForCausalLM'], bos_token_id: 1, eos_token_id: 2 },
  ...{ hidden_act: 'silu', hidden_size: 4096, initializer_range: 0.02, intermediate_size: 14336 },
  ...{ max_position_embeddings: 32768, num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
  ...{ rms_norm_eps: 1e-5, rope_theta: 10000, sliding_window: 4096, tie_word_embeddings: false, vocab_size: 32000 },
};
const qwen2 = {
  ...{ model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], attention_dropout: 0, bos_token_id: 151643 },
  ...{ eos_token_id: 151643, hidden_act: 'silu', hidden_size: 896, initializer_range: 0.02, intermediate_size: 4864 },
  ...{ max_position_embeddings: 131072, max_window_layers: 24, num_attention_heads: 14, num_hidden_layers: 24 },
  ...{ num_key_value_heads: 2, rms_norm_eps: 1e-6, rope_theta: 1000000, sliding_window: 131072 },
  ...{ tie_word_embeddings: true, use_sliding_window: false, vocab_size: 151936 },
};
const gpt2 = {
  ...{ model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], activation_function: 'gelu_new', attn_pdrop: 0.1 },
  ...{ bos_token_id: 50256, eos_token_id: 50256, embd_pdrop: 0.1, initializer_range: 0.02, layer_norm_epsilon: 1e-5 },
  ...{ n_ctx: 1024, n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024, resid_pdrop: 0.1, vocab_size: 50257 },
};
const parse = (fields: Record<string, unknown>) => parseModelConfig(fields, 'config.json');
const uniform = <Value>(length: number, value: Value) => new Array<Value>(length).fill(value);

describe('configs as published', () => {
  test('Llama 3 8B reward model', () => {
    const { raw, ...config } = parse(llama3Reward);
    expect(raw).toEqual(llama3Reward);
    expect(config).toEqual({
      ...{ architecture: 'llama', head: 'reward', vocabularySize: 128257, hiddenSize: 4096, innerSize: 14336 },
      ...{ layers: 32, heads: 32, keyHeads: 8, headWidth: 128, maxPositions: 8192, normEpsilon: 1e-5 },
      ...{ activation: 'silu', rotary: { theta: 500000 }, attentionScale: 1 / Math.sqrt(128), biases: [] },
      ...{ windows: uniform(32, undefined), tiedHead: false, bosTokenId: 128000, eosTokenIds: [128009] },
      padTokenId: 128256,
    });
  });

  test('Llama 3.2 1B, of both generations', () => {
    const config = { ...parse(llama32), raw: 0 };
    const scaling = { type: 'llama3', factor: 32, lowFactor: 1, highFactor: 4, originalPositions: 8192 };
    expect(config).toMatchObject({ tiedHead: true, headWidth: 64, rotary: { theta: 500000, scaling } });
    expect(config.eosTokenIds).toEqual([128001, 128008, 128009]);
    expect({ ...parse(llama32Of5), raw: 0 }).toEqual(config);
  });

  test('Gemma 2B it', () => {
    expect(parse(gemma2b)).toMatchObject({
      ...{ heads: 8, keyHeads: 1, headWidth: 256, activation: 'gelu', attentionScale: 1 / 16, tiedHead: true },
      ...{ rotary: { theta: 10000 }, padTokenId: 0, biases: [] },
    });
    const rest = without(gemma2b, 'hidden_activation', 'rope_scaling', 'rope_theta');
    const of5 = { ...rest, rope_parameters: { rope_theta: 10000, rope_type: 'default' }, tie_word_embeddings: true };
    expect({ ...parse({ ...of5, hidden_act: 'gelu_pytorch_tanh' }), raw: 0 }).toEqual({ ...parse(gemma2b), raw: 0 });
  });

  test.each([
    ['Llama 3 8B', llama3, false],
    ['Gemma 2B', gemma2b, true],
    ['Llama 3 8B that says nothing', without(llama3, 'tie_word_embeddings'), false],
  ])('a reward model on %s is written with its tie_word_embeddings', (_, base, isTied) => {
    const written = modelConfigJson({ ...parse(base), head: 'reward', tiedHead: false });
    expect(written).toMatchObject({ tie_word_embeddings: isTied });
  });

  test('Gemma 2 2B', () => {
    const config = parse(gemma2);
    expect(config).toMatchObject({
      attentionSoftCap: 50,
      logitSoftCap: 30,
      attentionScale: 1 / 16,
      activation: 'gelu',
    });
    expect(config.windows.slice(0, 4)).toEqual([4096, undefined, 4096, undefined]);
    const types = uniform(26, 'full_attention').with(3, 'sliding_attention');
    expect(parse({ ...gemma2, layer_types: types }).windows.indexOf(4096)).toBe(3);
    const uncapped = parse({ ...gemma2, attn_logit_softcapping: null, final_logit_softcapping: null });
    expect(uncapped).not.toHaveProperty('attentionSoftCap');
    expect(uncapped).not.toHaveProperty('logitSoftCap');
  });

  test('Mistral 7B v0.1 and v0.3', () => {
    expect(parse(mistral).windows).toEqual(uniform(32, 4096));
    const v3 = { ...mistral, head_dim: 128, rope_theta: 1000000, sliding_window: null, vocab_size: 32768 };
    expect(parse(v3)).toMatchObject({ windows: uniform(32, undefined), headWidth: 128, tiedHead: false });
    expect(parse(without(mistral, 'sliding_window')).windows).toEqual(uniform(32, 4096));
  });

  test('Qwen 2 0.5B', () => {
    expect(parse(qwen2)).toMatchObject({
      ...{ tiedHead: true, keyHeads: 2, headWidth: 64, biases: ['query', 'key', 'value'] },
      ...{ windows: uniform(24, undefined), rotary: { theta: 1000000 } },
    });
    const windowed = parse({ ...qwen2, use_sliding_window: true, max_window_layers: 21 });
    expect(windowed.windows).toEqual([...uniform(21, undefined), ...uniform(3, 131072)]);
  });

  test('GPT-2', () => {
    expect(parse(gpt2)).toMatchObject({ innerSize: 3072, headWidth: 64, tiedHead: true, activation: 'gelu' });
    expect(parse({ ...gpt2, tie_word_embeddings: false, n_inner: null })).toMatchObject({
      tiedHead: false,
      innerSize: 3072,
    });
  });
});

describe('what may be null or absent', () => {
  test('null stands for what follows from the rest', () => {
    const silent = { num_key_value_heads: null, head_dim: null, tie_word_embeddings: null, attention_bias: null };
    expect(parse({ ...llama3, ...silent })).toMatchObject({
      keyHeads: 32,
      headWidth: 128,
      tiedHead: false,
      biases: [],
    });
    expect(parse({ ...gemma2b, tie_word_embeddings: null }).tiedHead).toBe(true);
  });

  test('absent is what transformers takes', () => {
    expect(parse(without(llama3, 'num_key_value_heads')).keyHeads).toBe(32);
    expect(parse(without(mistral, 'num_key_value_heads')).keyHeads).toBe(8);
    expect(parse(without(gemma2b, 'head_dim')).headWidth).toBe(256);
    expect(parse(without(llama3, 'rms_norm_eps')).normEpsilon).toBe(1e-6);
    expect(parse(without(llama3, 'rope_theta')).rotary).toEqual({ theta: 10000 });
  });

  test('biases are where config.json says', () => {
    const biases = parse({ ...llama3, attention_bias: true, mlp_bias: true }).biases;
    expect(biases).toEqual(['query', 'key', 'value', 'attentionOutput', 'gate', 'up', 'down']);
    expect(parse({ ...gemma2b, attention_bias: true }).biases).toEqual(['query', 'key', 'value', 'attentionOutput']);
  });

  test('rope: an inner theta before an outer one, the old name of the type, positions of the pretraining', () => {
    const rotary = (fields: object) => parse({ ...llama3, ...fields }).rotary;
    const linear = { theta: 500000, scaling: { type: 'linear', factor: 2 } };
    expect(rotary({ rope_scaling: { type: 'linear', factor: 2 } })).toEqual(linear);
    expect(rotary({ rope_parameters: { rope_type: 'linear', factor: 2 } })).toEqual(linear);
    expect(rotary({ rope_parameters: { rope_type: 'default', rope_theta: 7 } })).toEqual({ theta: 7 });
    const llama = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    expect(rotary({ rope_scaling: llama })?.scaling).toMatchObject({ originalPositions: 8192 });
  });
});

test.each<[string, Record<string, unknown>, string]>([
  ['an activation', { ...llama3, hidden_act: 'gelu' }, 'hidden_act "gelu" is not supported'],
  ['GELU by erf in Gemma', { ...gemma2b, hidden_activation: 'gelu' }, 'hidden_activation "gelu"'],
  ['GELU by erf in Gemma 2', { ...gemma2, hidden_activation: 'gelu' }, 'hidden_activation "gelu"'],
  ['SiLU in Gemma', { ...gemma2b, hidden_act: 'silu' }, 'hidden_act "silu"'],
  ['a type of rope', { ...llama3, rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'rope_scaling.rope_type "yarn"'],
  ['an old type of rope', { ...llama3, rope_scaling: { type: 'dynamic', factor: 4 } }, 'rope_scaling.type "dynamic"'],
  ['rope without a factor', { ...llama3, rope_scaling: { type: 'linear' } }, 'rope_scaling.factor is undefined'],
  ['rope by kind of layer', { ...gemma2, rope_parameters: { full_attention: { rope_theta: 1 } } }, 'full_attention'],
  ['a part of rope', { ...llama3, partial_rotary_factor: 0.5 }, 'partial_rotary_factor 0.5'],
  ['rope that is no object', { ...llama3, rope_scaling: 'linear' }, 'rope_scaling is "linear"'],
  [
    'a narrow blend',
    { ...llama32, rope_scaling: { ...stretched, rope_type: 'llama3', high_freq_factor: 1 } },
    'not above',
  ],
  ['heads that do not divide', { ...llama3, num_key_value_heads: 5 }, '32 is not a multiple of num_key_value_heads 5'],
  ['a size that heads do not divide', { ...llama3, hidden_size: 4097 }, 'hidden_size 4097 is not a multiple of'],
  ['an odd head', { ...llama3, head_dim: 63 }, 'a head is 63 wide'],
  ['half a head', { ...llama3, head_dim: 1.5 }, 'head_dim is 1.5'],
  ['layers without end', { ...llama3, num_hidden_layers: 1e12 }, 'num_hidden_layers is 1000000000000'],
  ['attention both ways', { ...gemma2b, use_bidirectional_attention: true }, 'use_bidirectional_attention true'],
  ['windows in Llama', { ...llama3, layer_types: uniform(32, 'sliding_attention') }, 'layer_types'],
  ['windows that Mistral lacks', { ...mistral, layer_types: uniform(32, 'full_attention') }, 'layer_types'],
  ['too few kinds of layers', { ...gemma2, layer_types: ['full_attention'] }, 'needs 26 of'],
  ['a kind of layer', { ...gemma2, layer_types: uniform(26, 'chunked_attention') }, 'chunked_attention'],
  ['windows without a width', { ...gemma2, sliding_window: null }, 'no sliding_window'],
  ['a cap of 0', { ...gemma2, attn_logit_softcapping: 0 }, 'attn_logit_softcapping is 0'],
  [
    'quantised weights',
    { ...llama3, quantization_config: { bits: 4 } },
    'quantization_config says that the weights are quantised',
  ],
  ['two labels', { ...llama3Reward, id2label: { '0': 'a', '1': 'b' } }, 'needs 1 label'],
  ['labels that disagree', { ...llama3Reward, num_labels: 2 }, 'this has 2'],
  ['no labels', { ...llama3Reward, id2label: undefined }, 'this has 2'],
  ['another head', { ...llama3, architectures: ['LlamaForTokenClassification'] }, 'supported: LlamaForCausalLM'],
  ['another family', { ...llama3, model_type: 'mixtral' }, 'gpt2, llama, mistral, qwen2, gemma, gemma2'],
])('%s is refused by name', (_, fields, message) => {
  expect(() => parse(fields)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }));
  expect(() => parse(fields)).toThrow(message);
});
