import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import { bradleyTerryLoss, preferenceProbability } from './bradley-terry';
import { expectedCalibrationError, heldOutReport, longerWins, wilsonInterval } from './held-out-report';

describe('Bradley–Terry', () => {
  test('probability is the logistic function, symmetric, and does not overflow', () => {
    expect(preferenceProbability(Math.log(3))).toBeCloseTo(0.75, 12);
    expect(preferenceProbability(-2) + preferenceProbability(2)).toBeCloseTo(1, 15);
    expect(preferenceProbability(-800)).toBe(0);
    expect(preferenceProbability(800)).toBe(1);
  });
  test('loss is -log of it, with margin and centring', () => {
    // -ln .75; difference ln 3 less margin ln 3 = 0: ln 2; (2 ln 3)^2 would be the centring of (ln 3, ln 3)
    expect(bradleyTerryLoss(Math.log(3), 0)).toBeCloseTo(-Math.log(0.75), 12);
    expect(bradleyTerryLoss(Math.log(3), 0, { margin: Math.log(3) })).toBeCloseTo(Math.LN2, 12);
    expect(bradleyTerryLoss(1, 1, { centring: 0.01 })).toBeCloseTo(Math.LN2 + 0.04, 12);
    expect(bradleyTerryLoss(-1000, 0)).toBe(1000);
  });
});

describe('heldOutReport', () => {
  test('counts a tie as wrong and averages losses', () => {
    const report = heldOutReport([Math.log(3), 0, -Math.log(3), Math.log(3)], [0, 0, 0, 0]);
    expect(report.accuracy).toBe(0.5);
    // -ln of .75, .5, .25, .75; squares of the misses .25, .5, .75, .25
    expect(report.logLoss).toBeCloseTo(-(2 * Math.log(0.75) + Math.log(0.5) + Math.log(0.25)) / 4, 12);
    expect(report.brier).toBeCloseTo((0.0625 + 0.25 + 0.5625 + 0.0625) / 4, 12);
    // winners: three at .75, two of them right; one at .5, wrong: 3/4 |.75 - 2/3| + 1/4 |.5 - 0|
    expect(report.ece).toBeCloseTo(0.75 * (0.75 - 2 / 3) + 0.25 * 0.5, 12);
  });
  test('has ten bins of confidence: ties are in the first, with what is right by a hair', () => {
    // Winners: two ties at .5, wrong, and three at .52, right; all of (.5, .55]: |mean .512 - share .6|
    const near = Math.log(0.52 / 0.48);
    expect(heldOutReport([0, 0, near, near, near], [0, 0, 0, 0, 0]).ece).toBeCloseTo(0.6 - 0.512, 12);
  });
  test('refuses unequal lengths, nothing, and scores that are not finite', () => {
    expect(() => heldOutReport([1], [])).toThrow('there must be as many');
    expect(() => heldOutReport([], [])).toThrow('at least one');
    expect(() => heldOutReport([1, NaN], [0, 0])).toThrow('score of pair 1 is not finite');
  });
  test('the longer answer wins where it is the chosen one', () => {
    const pair = { prompt: 'p', margin: 0, chosenTruncated: false, rejectedTruncated: false };
    const rows = [
      { ...pair, chosen: 'long', rejected: 'no' },
      { ...pair, chosen: 'no', rejected: 'long' },
      { ...pair, chosen: 'as', rejected: 'is' },
      { ...pair, chosen: 'long', rejected: 'x' },
    ];
    expect(longerWins(rows).accuracy).toBe(0.5);
  });
});

describe('wilsonInterval', () => {
  test('gives the published interval', () => {
    // Newcombe 1998, table I: 81 of 263: .2553 to .3662; 15 of 148: .0624 to .1605; 0 of 20: 0 to .1611
    const rounded = (k: number, n: number) => wilsonInterval(k, n).map((x) => Number(x.toFixed(4)));
    expect(rounded(81, 263)).toEqual([0.2553, 0.3662]);
    expect(rounded(15, 148)).toEqual([0.0624, 0.1605]);
    expect(rounded(0, 20)).toEqual([0, 0.1611]);
  });
});

const golden = goldenPath('golden', 'statistics.json');
(golden ? describe : describe.skip)('against the reference statistics', () => {
  test('expected calibration error', () => {
    type Case = { probabilities: { data: number[] }; outcomes: { data: number[] }; bins: number; ece: number };
    const { calibration } = JSON.parse(readFileSync(golden as string, 'utf8')) as { calibration: Case[] };
    expect(calibration.length).toBeGreaterThan(0);
    for (const { probabilities, outcomes, bins, ece } of calibration) {
      const came = outcomes.data.map((outcome) => outcome === 1);
      expect(expectedCalibrationError(probabilities.data, came, bins)).toBeCloseTo(ece, 10);
    }
  });
});
