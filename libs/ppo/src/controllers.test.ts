import { describe, expect, test } from '@jest/globals';
import { nextBeta } from './controllers';
import { ppoDefaults } from './ppo-config';

const config = { ...ppoDefaults, klTarget: 3 };

describe('nextBeta', () => {
  test('adaptive: e^(.15 error), the error bounded by 1', () => {
    expect(nextBeta(config, 0.2, 4.5)).toBeCloseTo(0.2 * Math.exp(0.075), 12);
    expect(nextBeta(config, 0.2, 30)).toBeCloseTo(0.2 * Math.exp(0.15), 12);
    expect(nextBeta(config, 0.2, -1)).toBeCloseTo(0.2 * Math.exp(-0.15), 12);
  });

  test('classic: proportional, the error bounded by .2, slowed by the horizon', () => {
    const classic = { ...config, klControl: 'classic', batchSize: 100, klHorizon: 1000 } as const;
    expect(nextBeta(classic, 0.2, 3.3)).toBeCloseTo(0.2 * 1.01, 12);
    expect(nextBeta(classic, 0.2, 300)).toBeCloseTo(0.2 * 1.02, 12);
  });

  test('both stay within their bounds', () => {
    expect(nextBeta({ ...config, betaMax: 0.21 }, 0.2, 30)).toBe(0.21);
    expect(nextBeta({ ...config, betaMin: 0.19 }, 0.2, 0)).toBe(0.19);
    const abrupt = { ...config, klControl: 'classic', klHorizon: 1 } as const;
    expect(nextBeta(abrupt, 0.2, 0)).toBe(config.betaMin);
  });

  test('fixed: as it was', () => {
    expect(nextBeta({ ...config, klControl: 'fixed' }, 0.2, 30)).toBe(0.2);
  });
});
