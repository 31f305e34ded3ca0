import { describe, expect, test } from '@jest/globals';
import { resolveSettings, settingsDifferences, type ChosenSettings } from './run-settings';

const defaults = { ensembleAddress: '127.0.0.1:50051', judgeAddress: '127.0.0.1:50052', weights: 'auto' } as const;
const chosen: ChosenSettings = {
  policy: 'base',
  prompts: 'prompts.jsonl',
  evalPrompts: '',
  gold: '',
  seed: 1000,
  ppo: {},
  ensembleAddress: '',
  judgeAddress: '',
  keepRollouts: false,
  lora: null,
  weights: '',
};

describe('resolveSettings', () => {
  test('fills in the addresses, the evaluation prompts and every hyper-parameter', () => {
    const settings = resolveSettings(chosen, defaults);
    expect(settings).toMatchObject({ ...defaults, evalPrompts: 'prompts.jsonl' });
    expect(settings.ppo).toMatchObject({ mode: 'variance-weighted-kl', batchSize: 64, minibatchSize: 64 });
  });

  test('lists every problem at once', () => {
    const wrong = {
      ...chosen,
      policy: '',
      seed: 2 ** 53,
      judgeAddress: 'nowhere',
      ppo: { learningRate: Number.NaN, klTarget: -1 },
    };
    expect(() => resolveSettings(wrong, defaults)).toThrow(
      /policy: .*seed must be .*judge_address: "nowhere" .*learningRate must be .*klTarget must be /,
    );
  });

  test('takes a judge of "none" for no judge, but an ensemble is needed', () => {
    expect(resolveSettings({ ...chosen, judgeAddress: 'none' }, defaults).judgeAddress).toBe('none');
    expect(() => resolveSettings({ ...chosen, ensembleAddress: 'none' }, defaults)).toThrow(/ensemble_address/);
  });
});

describe('an adapter', () => {
  const lora = { r: 4, alpha: 8, targetModules: 'all-linear', rslora: false };

  test('is checked as far as that can be done without the model', () => {
    expect(() => resolveSettings({ ...chosen, lora: { ...lora, r: 0 } }, defaults)).toThrow(
      /lora: r is 0, needs a whole/,
    );
    expect(() => resolveSettings({ ...chosen, weights: 'int4' }, defaults)).toThrow(/weights must be auto, f32/);
  });

  test('is what mapped weights need', () => {
    const mapped = { ...chosen, weights: 'bf16-mapped' };
    expect(() => resolveSettings(mapped, defaults)).toThrow(/bf16-mapped .* needs lora/);
    expect(resolveSettings({ ...mapped, lora }, defaults)).toMatchObject({ weights: 'bf16-mapped', lora });
  });

  test('takes mapped weights from a service whose default they are; a run without one has auto', () => {
    const service = { ...defaults, weights: 'bf16-mapped' } as const;
    expect(resolveSettings({ ...chosen, lora }, service).weights).toBe('bf16-mapped');
    expect(resolveSettings(chosen, service).weights).toBe('auto');
    expect(resolveSettings({ ...chosen, weights: 'f32', lora }, service).weights).toBe('f32');
    expect(() => resolveSettings({ ...chosen, weights: 'bf16-mapped' }, service)).toThrow(/needs lora/);
  });

  test('of another rank is another run', () => {
    const [one, other] = [4, 5].map((r) => resolveSettings({ ...chosen, lora: { ...lora, r } }, defaults));
    expect(settingsDifferences(one!, other!)).toEqual([expect.stringMatching(/^lora: .*"r":4.* → .*"r":5/)]);
    expect(settingsDifferences(one!, structuredClone(one!))).toEqual([]);
  });
});

describe('settingsDifferences', () => {
  const settings = resolveSettings(chosen, defaults);

  test('names what differs, with both values', () => {
    const other = resolveSettings({ ...chosen, seed: 1001, ppo: { beta: 0.1 } }, defaults);
    expect(settingsDifferences(settings, other)).toEqual(['seed: 1000 → 1001', 'beta: 0.2 → 0.1']);
  });

  test('lets the scorers listen elsewhere, but not the judge come or go', () => {
    expect(settingsDifferences(settings, { ...settings, ensembleAddress: 'a:1', judgeAddress: 'b:2' })).toEqual([]);
    expect(settingsDifferences(settings, { ...settings, judgeAddress: 'none' })).toEqual(['judge: asked → none']);
  });
});
