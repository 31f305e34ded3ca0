import { beforeAll, describe, expect, test } from '@jest/globals';
import { openBackend } from '@surefoot/tensor';
import '@surefoot/tensor/testing';
import { createModel, disposeModel, gpt2Config, parseInitialisation, parseModelConfig } from './index';
import { tinyConfig } from './testing';

const raw = { model_type: 'gpt2', vocab_size: 100, n_embd: 48, n_layer: 2, n_head: 2, n_positions: 18 };

describe('parseModelConfig', () => {
  test('fills what config.json may leave out', () => {
    expect(parseModelConfig(raw, 'config.json')).toEqual({
      ...{ architecture: 'gpt2', head: 'causal-lm', vocabularySize: 100, hiddenSize: 48, innerSize: 192 },
      ...{ layers: 2, heads: 2, keyHeads: 2, headWidth: 24, maxPositions: 18, normEpsilon: 1e-5, activation: 'gelu' },
      ...{ attentionScale: 1 / Math.sqrt(24), windows: [undefined, undefined] },
      ...{ biases: ['packed', 'attentionOutput', 'up', 'down'], tiedHead: true, eosTokenIds: [], raw },
    });
  });

  test('one or several eos tokens, and -1 for no pad token', () => {
    const config = parseModelConfig({ ...raw, eos_token_id: [3, 4], bos_token_id: 0, pad_token_id: -1 }, 'config.json');
    expect(config).toMatchObject({ eosTokenIds: [3, 4], bosTokenId: 0 });
    expect(config.padTokenId).toBeUndefined();
  });

  test.each<[string, unknown, string]>([
    ['no object', [], 'is no JSON object'],
    ['another family', { ...raw, model_type: 'bert' }, 'model_type "bert" is not supported; supported: gpt2'],
    ['a name of an object', { ...raw, model_type: 'constructor' }, 'is not supported'],
    ['another class', { ...raw, architectures: ['GPT2ForTokenClassification'] }, 'GPT2ForTokenClassification'],
    ['two labels', { ...raw, architectures: ['GPT2ForSequenceClassification'] }, 'needs 1 label'],
    ['no size', { ...raw, n_embd: undefined }, 'n_embd is undefined'],
    ['a broken size', { ...raw, n_layer: 1.5 }, 'n_layer is 1.5'],
    ['heads that do not divide', { ...raw, n_head: 5 }, 'hidden size 48 is not a multiple of 5 heads'],
    ['another activation', { ...raw, activation_function: 'relu' }, 'activation_function "relu"'],
    ['another scale', { ...raw, scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
    ['epsilon 0', { ...raw, layer_norm_epsilon: 0 }, 'layer_norm_epsilon is 0'],
    [
      'weights that are quantised',
      { ...raw, quantization_config: { bits: 4 } },
      'quantization_config says that the weights are quantised, only F32, F16 and BF16 are supported',
    ],
    ['an eos token outside', { ...raw, eos_token_id: 100 }, 'eos_token_id is 100'],
  ])('%s is refused', (_, value, message) => {
    expect(() => parseModelConfig(value, 'a/config.json')).toThrow(
      expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) }),
    );
    expect(() => parseModelConfig(value, 'a/config.json')).toThrow('a/config.json');
  });

  test('lists all problems at once', () => {
    expect(() => parseModelConfig({ ...raw, n_layer: 0, vocab_size: 'x' }, 'c')).toThrow(/n_layer is 0.*|vocab_size/);
  });

  test('a wrong vocabulary is one problem, and says nothing of the ids in it', () => {
    const wrong = { ...raw, vocab_size: 99.5, eos_token_id: 50, bos_token_id: 50 };
    expect(() => parseModelConfig(wrong, 'c')).toThrow(/^c: vocab_size is 99.5, needs a whole number of at least 1$/);
    expect(() => parseModelConfig({ ...wrong, eos_token_id: -2 }, 'c')).toThrow(/; eos_token_id is -2, needs ids$/);
  });
});

describe('createModel', () => {
  beforeAll(async () => {
    await openBackend('wasm');
  });
  const config = tinyConfig({ vocabularySize: 300, hiddenSize: 32, maxPositions: 64, tiedHead: false });
  const sdOf = (values: ArrayLike<number>) =>
    Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);

  test('the same seed gives the same bits, another seed others', () => {
    const [a, b, c] = [createModel(config, 1), createModel(config, 1), createModel(config, 2)];
    const values = (model: typeof a) => [...model.parameters.get('transformer.h.1.mlp.c_fc.weight')!.dataSync()];
    expect(values(b)).toEqual(values(a));
    expect(values(c)).not.toEqual(values(a));
    [a, b, c].forEach(disposeModel);
  });

  test('standard deviations are those of the initialisation', () => {
    const model = createModel(config, 1, {
      ...{ tokenEmbedding: 0.6, positionEmbedding: 0.5, head: 0.4 },
      ...{ matrices: 'fan-in', outputProjectionsByDepth: true },
    });
    const expected: Record<string, number> = {
      'transformer.wte.weight': 0.6,
      'transformer.wpe.weight': 0.5,
      'lm_head.weight': 0.4,
      'transformer.h.0.attn.c_attn.weight': 1 / Math.sqrt(32),
      // Two layers: divided by sqrt(4).
      'transformer.h.0.attn.c_proj.weight': 1 / Math.sqrt(32) / 2,
      'transformer.h.1.mlp.c_proj.weight': 1 / Math.sqrt(128) / 2,
      'transformer.h.1.mlp.c_fc.bias': 0,
      'transformer.h.1.ln_1.weight': 1,
      'transformer.ln_f.bias': 0,
    };
    for (const [name, sd] of Object.entries(expected))
      expect([sdOf(model.parameters.get(name)!.dataSync())]).toBeAllclose([sd], { atol: 0, rtol: 0.08 });
    disposeModel(model);
  });

  test('a geometry that fits nowhere is refused before memory is taken', () => {
    const huge = { vocabularySize: 2 ** 20, hiddenSize: 2 ** 12, layers: 100, heads: 1, maxPositions: 8 };
    expect(() => createModel(gpt2Config({ ...huge, head: 'causal-lm', eosTokenIds: [] }), 1)).toThrow(
      expect.objectContaining({ kind: 'resource_exhausted' }),
    );
  });
});

describe('parseInitialisation', () => {
  test('fills what is left out', () => {
    expect(parseInitialisation({ head: 0.6, matrices: 'fan-in' }, 'init.json')).toEqual({
      ...{ tokenEmbedding: 0.02, positionEmbedding: 0.02, head: 0.6 },
      ...{ matrices: 'fan-in', outputProjectionsByDepth: true },
    });
  });

  test.each<[unknown, string]>([
    [null, 'no JSON object'],
    [{ heads: 1 }, 'unknown field heads'],
    [{ head: -1 }, 'head cannot be -1'],
    [{ matrices: 'small' }, 'matrices cannot be "small"'],
    [{ outputProjectionsByDepth: 1 }, 'outputProjectionsByDepth cannot be 1'],
  ])('%j is refused', (raw, message) => {
    expect(() => parseInitialisation(raw, 'init.json')).toThrow(message);
  });
});
