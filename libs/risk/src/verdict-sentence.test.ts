import { describe, expect, test } from '@jest/globals';
import { decimalsFor } from './decimals';
import { riskReport } from './risk-report';
import { parseRunRecord, type RunRecord } from './run-record';
import { verdictTexts } from './verdict-sentence';

/** Runs of two methods by the judge, whose scores are of the order of `unit`. */
function runs(unit: number): RunRecord[] {
  const lines = [0, 1, 2, 3, 4, 5].flatMap((run) =>
    (['vanilla', 'aware'] as const).map((method, i) => {
      const gain = unit * (i === 0 ? Math.sin(5 * run) : 0.1 + 0.4 * Math.sin(3 * run));
      const final = { judge: unit + gain, kl: 0.004, reward: 0 };
      const place = { block: 'a', run, index: 2 * run + i, member: run, seed: run };
      const trajectory = { judge: [unit], kl: [0.004] };
      return { method, ...place, status: 'completed', iterations: 1, initial: { judge: unit }, final, trajectory };
    }),
  );
  return lines.map((line) => parseRunRecord(line, 'test'));
}

const evidence = (unit: number) => verdictTexts(riskReport(runs(unit), { replicates: 100 }))[0]!.evidence;

describe('the figures of a verdict', () => {
  test('show two digits of standard deviations and widths in whatever unit the measure has', () => {
    expect(evidence(1)).toContain(
      'a standard deviation of 0.17 with aware and 0.71 with vanilla; variance ratio of vanilla to aware 16.31',
    );
    expect(evidence(1)).toContain("gained +0.14 (95 % interval −0.66 to +0.93) in the judge's score");
    expect(evidence(0.01)).toContain(
      'a standard deviation of 0.0017 with aware and 0.0071 with vanilla; variance ratio of vanilla to aware 16.31',
    );
    expect(evidence(0.01)).toContain('gained +0.001 (95 % interval −0.007 to +0.009)');
    expect(evidence(1e-4)).not.toMatch(/0\.00 /);
  });

  test('have no minus sign before a zero', () => {
    const report = riskReport(runs(1), { replicates: 100 });
    report.comparisons[0]!.pairedGain = { mean: -0.001, ci95: [-1, 0.998], overBlocks: null };
    expect(verdictTexts(report)[0]!.evidence).toContain('gained +0.00 (95 % interval −1.00 to +1.00)');
  });

  test.each([
    [[0.35], 2],
    [[31], 2],
    [[0.031], 3],
    [[0.5, 0.0031], 4],
    [[null, 0, 2e-17], 2],
    [[null, 0.1], 2],
  ])('of sizes %j have %i decimals', (sizes, decimals) => {
    expect(decimalsFor(sizes)).toBe(decimals);
  });
});
