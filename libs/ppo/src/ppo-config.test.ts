import { describe, expect, test } from '@jest/globals';
import { ppoDefaults, resolvePpoConfig, type PpoConfig } from './ppo-config';

const problems = (partial: object): string => {
  try {
    resolvePpoConfig(partial);
  } catch (error) {
    expect(error).toMatchObject({ kind: 'invalid_argument' });
    return (error as Error).message;
  }
  return '';
};

describe('resolvePpoConfig', () => {
  test('fills every default', () => {
    expect(resolvePpoConfig({})).toEqual(ppoDefaults);
    expect(resolvePpoConfig({ epochs: undefined, mode: 'uwo' })).toEqual({ ...ppoDefaults, mode: 'uwo' });
  });

  test('what it fills in is itself valid, and resolving it again changes nothing', () => {
    const resolved = resolvePpoConfig({ weightClampMin: 0, weightClampMax: Infinity, missingEosPenalty: -1 });
    expect(resolvePpoConfig(resolved)).toEqual(resolved);
  });

  test('a minibatch is the whole batch unless chosen', () => {
    expect(resolvePpoConfig({ batchSize: 32 }).minibatchSize).toBe(32);
    expect(resolvePpoConfig({ batchSize: 32, minibatchSize: 8 }).minibatchSize).toBe(8);
  });

  test('lists all problems at once', () => {
    const message = problems({
      mode: 'brave',
      learningRate: NaN,
      epochs: 0,
      gamma: '1',
      clipRange: 1,
      batchSize: 10,
      minibatchSize: 4,
      betaMin: 2,
      betaMax: 1,
      klCoef: 3,
      toString: 1,
    });
    for (const part of [
      'mode must be one of vanilla, variance-weighted-kl, ',
      ', not "brave"',
      'learningRate must be a number in (0, 1], not NaN',
      'epochs must be a whole number from 1 to 100, not 0',
      'gamma must be a number in (0, 1], not "1"',
      'clipRange must be a number in (0, 1), not 1',
      'minibatchSize 4 does not divide batchSize 10',
      'betaMin 2 is above betaMax 1',
      'unknown field klCoef',
      'unknown field toString',
    ])
      expect(message).toContain(part);
  });

  test.each<[string, Partial<PpoConfig>]>([
    ['an infinite learning rate', { learningRate: Infinity }],
    ['a fraction of an iteration', { iterations: 1.5 }],
    ['an infinite lower clamp', { weightClampMin: Infinity }],
    ['a NaN clamp', { weightClampMax: NaN }],
    ['no target', { klTarget: 0 }],
    ['a beta outside its bounds', { beta: 1000 }],
    ['crossed clamps', { weightClampMin: 3, weightClampMax: 2 }],
    ['an infinite penalty', { missingEosPenalty: -Infinity }],
    ['a seed that float64 cannot hold', { evaluationSeed: 2 ** 53 }],
    ['a negative member', { member: -1 }],
    ['a schedule that there is not', { learningRateSchedule: 'cosine' as never }],
    ['an epsilon elsewhere', { adamEpsilonMode: '' as never }],
  ])('refuses %s', (_, partial) => {
    expect(problems(partial)).toMatch(/^PPO configuration: \w/);
  });

  test('a fixed beta has no bounds', () => {
    expect(resolvePpoConfig({ klControl: 'fixed', beta: 1000 }).beta).toBe(1000);
  });

  test.each([[null], [[]], ['mode']])('refuses %j', (partial) => {
    expect(() => resolvePpoConfig(partial as never)).toThrow('expected an object');
  });
});
