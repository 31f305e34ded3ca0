import { describe, expect, test } from '@jest/globals';
import { parseAdapterConfig } from './adapter-config';
import { planAdapter } from './adapter-targets';
import { parseModelConfig, type ModelConfig } from './config';
import { tinyConfig } from './testing';

const llama = (rest: object = {}) =>
  parseModelConfig(
    {
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      ...{ vocab_size: 32, hidden_size: 8, intermediate_size: 16, num_hidden_layers: 2, num_attention_heads: 2 },
      ...{ num_key_value_heads: 1, max_position_embeddings: 32, rms_norm_eps: 1e-5, hidden_act: 'silu' },
      ...{ tie_word_embeddings: false, rope_parameters: { rope_type: 'default', rope_theta: 10_000 } },
      ...rest,
    },
    'test',
  );
const reward = { architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'LABEL_0' } };
const plan = (model: ModelConfig, options: object) =>
  planAdapter(parseAdapterConfig({ peft_type: 'LORA', r: 4, lora_alpha: 8, ...options }, 'test'), model, 'test');
/** Targets without what their names share, rank and scaling where they are not 4 and 2. */
const targets = (model: ModelConfig, options: object) =>
  plan(model, options).pairs.map(({ name, rank, scaling }) => {
    const short = name.replace(/^(model\.layers|transformer\.h)\./, '').replace(/self_attn\.|mlp\.|(?<!c)_proj/g, '');
    return rank === 4 && scaling === 2 ? short : `${short} ${rank} ${scaling}`;
  });
const all = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];
const inBoth = (names: string[]) => ['0', '1'].flatMap((layer) => names.map((name) => `${layer}.${name}`));

// Expected: peft 0.21.2 on models of these families.
describe('the modules that an adapter changes are those of PEFT', () => {
  test('by the ends of their names, which begin at a dot', () => {
    expect(targets(llama(), { target_modules: ['q_proj', 'v_proj'] })).toEqual(inBoth(['q', 'v']));
    expect(targets(llama(), { target_modules: ['q_proj', 'lm_head'] })).toEqual([...inBoth(['q']), 'lm_head']);
    expect(targets(tinyConfig(), { target_modules: ['c_proj'] })).toEqual(inBoth(['attn.c_proj', 'c_proj']));
    expect(() => plan(llama(), { target_modules: ['_proj'] })).toThrow(
      'target_modules names no module of this model, which has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head',
    );
  });

  test('by a regular expression of whole names', () => {
    const pattern = '.*\\.1\\.(self_attn\\.[qk]|mlp\\.up)_proj';
    expect(targets(llama(), { target_modules: pattern })).toEqual(['1.q', '1.k', '1.up']);
    expect(() => plan(llama(), { target_modules: '_proj' })).toThrow('names no module');
  });

  test('all of them but the head', () => {
    expect(targets(llama(), { target_modules: 'all-linear' })).toEqual(inBoth(all));
    expect(targets(llama(), { target_modules: 'ALL-linear' })).toEqual(inBoth(all));
    expect(targets(tinyConfig(), { target_modules: 'all-linear' })).toEqual(
      inBoth(['attn.c_attn', 'attn.c_proj', 'c_fc', 'c_proj']),
    );
    expect(targets(llama(reward), { target_modules: 'all-linear', task_type: 'SEQ_CLS' })).toEqual(inBoth(all));
    expect(targets(llama(reward), { target_modules: 'all-linear' })).toEqual([...inBoth(all), 'score']);
  });

  test('what the family has where nothing is said', () => {
    expect(targets(llama(), {})).toEqual(inBoth(['q', 'v']));
    expect(targets(tinyConfig(), {})).toEqual(inBoth(['attn.c_attn']));
  });

  test('in some layers; a name in full is a target in any', () => {
    const named = ['self_attn.q_proj', 'model.layers.0.mlp.up_proj'];
    expect(targets(llama(), { target_modules: named, layers_to_transform: [1] })).toEqual(['0.up', '1.q']);
    const one = { target_modules: ['q_proj'], layers_to_transform: 1 };
    expect(targets(llama(), { ...one, layers_pattern: 'layers' })).toEqual(['1.q']);
    expect(() => plan(llama(), { ...one, layers_pattern: 'h' })).toThrow('names no module');
    expect(() => plan(llama(), { target_modules: '.*q_proj', layers_to_transform: 1 })).toThrow(
      'layers_to_transform cannot be used where target_modules is a string',
    );
  });

  test('without those excluded', () => {
    const most = { target_modules: 'all-linear', exclude_modules: ['mlp.up_proj', 'down_proj'] };
    expect(targets(llama(), most)).toEqual(inBoth(['q', 'k', 'v', 'o', 'gate']));
    const attention = { target_modules: 'all-linear', exclude_modules: '.*(mlp|k_proj).*' };
    expect(targets(llama(), attention)).toEqual(inBoth(['q', 'v', 'o']));
  });

  test('each with the rank and alpha of the first pattern that its name ends in', () => {
    const options = {
      target_modules: ['q_proj', 'v_proj'],
      rank_pattern: { 'layers.1.self_attn.q_proj': 2, v_proj: 3, q_proj: 5 },
      alpha_pattern: { '^model.layers.0.*': 16, '.*1.*v_proj': 6 },
    };
    expect(targets(llama(), options)).toEqual(['0.q 5 3.2', `0.v 3 ${16 / 3}`, '1.q 2 4', '1.v 3 2']);
    expect(targets(llama(), { ...options, use_rslora: true })[2]).toBe(`1.q 2 ${8 / Math.sqrt(2)}`);
  });
});

describe('modules that are trained whole', () => {
  const saved = (model: ModelConfig, options: object) => plan(model, options).saved.map(({ name }) => name);

  test('are found by the ends of their names, groups too, and are no targets', () => {
    const options = { target_modules: ['q_proj', 'up_proj'] };
    expect(saved(llama(), { ...options, modules_to_save: ['lm_head', 'norm'] })).toEqual(
      [
        ...['0', '1'].flatMap((i) => [
          `model.layers.${i}.input_layernorm`,
          `model.layers.${i}.post_attention_layernorm`,
        ]),
        ...['model.norm', 'lm_head'],
      ].map((name) => `${name}.weight`),
    );
    expect(saved(llama(), { ...options, modules_to_save: ['mlp'] })).toHaveLength(6);
    expect(targets(llama(), { ...options, modules_to_save: ['mlp'] })).toEqual(inBoth(['q']));
  });

  test('always hold the score head of a reward model', () => {
    const options = { target_modules: ['q_proj', 'score'], task_type: 'SEQ_CLS' };
    expect(saved(llama(reward), options)).toEqual(['score.weight']);
    expect(targets(llama(reward), options)).toEqual(inBoth(['q']));
  });

  test('cannot be what head and embedding share', () => {
    for (const module of ['lm_head', 'wte'])
      expect(() => plan(tinyConfig(), { modules_to_save: [module] })).toThrow(/names .* head and embedding .* share/);
  });
});

describe('what no adapter of ours changes is refused by name', () => {
  test.each([
    [{ target_modules: ['embed_tokens'] }, 'model.embed_tokens'],
    [{ target_modules: '.*norm' }, 'model.layers.0.input_layernorm, model.layers.0.post_attention_layernorm, '],
    [{ target_modules: '.*layers.*' }, 'target_modules reaches model.layers, model.layers.0, '],
    [{ target_modules: ['mlp'] }, 'model.layers.0.mlp, model.layers.1.mlp'],
  ])('%j', (options, text) => {
    expect(() => plan(llama(), options)).toThrow(text);
  });

  test('a head that is the embedding table', () => {
    expect(() => plan(tinyConfig(), { target_modules: ['c_attn', 'lm_head'] })).toThrow('reaches lm_head');
  });
});
