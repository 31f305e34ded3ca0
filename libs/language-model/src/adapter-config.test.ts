import { describe, expect, test } from '@jest/globals';
import { parseAdapterConfig } from './adapter-config';

const parse = (options: object) => parseAdapterConfig({ peft_type: 'LORA', r: 4, lora_alpha: 8, ...options }, 'a.json');

describe('adapter_config.json', () => {
  test('lists all that is wrong at once', () => {
    const wrong = {
      peft_type: 'IA3',
      r: 0,
      lora_alpha: 'x',
      bias: 'all',
      task_type: 'QUESTION_ANS',
      rank_pattern: { a: 1.5 },
    };
    expect(() => parse(wrong)).toThrow(
      /^a\.json: peft_type is "IA3", supported: LORA; bias .*; task_type .*; r is 0, needs a whole number of 1 to 65536; lora_alpha is "x", needs a number; rank_pattern/,
    );
    expect(() => parseAdapterConfig([], 'a.json')).toThrow('a.json is no JSON object');
  });

  test.each([
    ['use_dora', true],
    ['lora_bias', true],
    ['layer_replication', [[0, 1]]],
    ['target_parameters', ['mlp.experts']],
    ['trainable_token_indices', [1, 2]],
    ['use_qalora', true],
    ['init_lora_weights', 'pissa'],
    ['a_future_option', 3],
  ])('%s is refused by name where it is set', (name, value) => {
    expect(() => parse({ [name]: value })).toThrow(name);
    expect(() => parse({ [name]: name === 'init_lora_weights' ? true : null })).not.toThrow();
  });

  test('what changes nothing here is passed over', () => {
    const harmless = { lora_dropout: 0.1, inference_mode: true, loftq_config: {}, init_lora_weights: 'gaussian' };
    expect(parse({ ...harmless, megatron_core: 'megatron.core', revision: 'main' })).toMatchObject({ rank: 4 });
  });

  test('lists without end are refused', () => {
    expect(() => parse({ target_modules: Array(10_001).fill('q') })).toThrow('needs a list of names');
  });
});
