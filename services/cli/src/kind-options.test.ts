import { describe, expect, test } from '@jest/globals';
import { UsageError } from './failure';
import { kindOfFit } from './kind-options';

type Values = Parameters<typeof kindOfFit>[0];
const none: Values = {
  ...{ kind: 'full', base: 'base', epochs: 6, learningRate: 1e-3, weights: 'auto' },
  ...{ tuneTrunk: false, tuneEpochs: undefined, tuneLearningRate: undefined, headPull: undefined },
  ...{ loraR: undefined, loraAlpha: undefined, loraTargets: undefined, loraRslora: false },
};
const fitOf = (values: Partial<Values>) => kindOfFit({ ...none, ...values });

describe('what the options say of a kind', () => {
  test('full has none', () => {
    expect(fitOf({})).toEqual({ kind: 'full', weights: 'auto' });
  });

  test('heads have a pull, by default none, and a trunk that is tuned as they are fitted unless told otherwise', () => {
    expect(fitOf({ kind: 'heads' }).heads).toEqual({ pull: 0, tuneTrunk: null });
    expect(fitOf({ kind: 'heads', headPull: 0.3 }).heads).toEqual({ pull: 0.3, tuneTrunk: null });
    expect(fitOf({ kind: 'heads', tuneTrunk: true }).heads?.tuneTrunk).toEqual({ epochs: 6, learningRate: 1e-3 });
    expect(fitOf({ kind: 'heads', tuneTrunk: true, tuneEpochs: 2, tuneLearningRate: 0.1 }).heads?.tuneTrunk).toEqual({
      ...{ epochs: 2, learningRate: 0.1 },
    });
  });

  test('a single target that is no module name is a pattern', () => {
    const targets = (...loraTargets: string[]) => fitOf({ kind: 'adapters', loraTargets }).adapters?.targetModules;
    expect(targets('all-linear')).toBe('all-linear');
    expect(targets('.*(q|v)_proj')).toBe('.*(q|v)_proj');
    expect(targets('c_attn')).toEqual(['c_attn']);
    expect(targets('q_proj', 'v_proj')).toEqual(['q_proj', 'v_proj']);
    const adapters = fitOf({ kind: 'adapters', loraR: 4, loraAlpha: 2, loraRslora: true }).adapters;
    expect(adapters).toEqual({ r: 4, alpha: 2, rslora: true });
  });
});

test.each<[string, Partial<Values>, string]>([
  ['a pull of other members than heads', { headPull: 1 }, '--head-pull is an option of --kind heads'],
  ['a rank of heads', { kind: 'heads', loraR: 4 }, '--lora-r is an option of --kind adapters'],
  ['adapters without a base', { kind: 'adapters', base: undefined }, '--kind adapters needs --base'],
  ['heads on random weights', { kind: 'heads', base: undefined }, 'add --tune-trunk'],
  ['epochs of a trunk that is not tuned', { kind: 'heads', tuneEpochs: 1 }, 'go with --tune-trunk'],
  ['BF16 weights that are trained', { weights: 'bf16-mapped' }, 'is for weights that are not trained'],
])('refused: %s', (_, values, message) => {
  expect(() => fitOf(values)).toThrow(UsageError);
  expect(() => fitOf(values)).toThrow(message);
});
