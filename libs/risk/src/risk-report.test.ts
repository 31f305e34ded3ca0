import { describe, expect, test } from '@jest/globals';
import { seededIntegers } from './bootstrap';
import { methodSummaries, riskReport } from './risk-report';
import { parseRunRecord, type RunRecord } from './run-record';
import { verdictTexts } from './verdict-sentence';

/** A completed run as a line of runs.jsonl; gold starts at 1. */
function line(method: string, run: number, gain: number, changes: Record<string, unknown> = {}): RunRecord {
  const methodIndex = method === 'vanilla' ? 0 : 1;
  const value = {
    method,
    block: 'data-11',
    run,
    index: run * 2 + methodIndex,
    member: run,
    seed: 1000 + run,
    status: 'completed',
    iterations: 6,
    initial: { gold: 1, judge: -1 },
    final: { gold: 1 + gain, judge: gain - 1, kl: 3, reward: 0 },
    trajectory: { gold: [1, 2, 3, 4, 5, 0], kl: [0, 1, 2, 3, 3, 3] },
    ...changes,
  };
  return parseRunRecord(value, 'test');
}

/** `count` runs of each method; gains spread normally with the given standard deviations, on seeded draws. */
function experiment(
  count: number,
  sds: { vanilla: number; aware: number },
  kl = { vanilla: 3, aware: 3 },
): RunRecord[] {
  const integer = seededIntegers(9);
  const draw = () => Array.from({ length: 12 }, () => integer(1000) / 1000).reduce((sum, u) => sum + u, -6);
  return Array.from({ length: count }, (_, run) =>
    (['vanilla', 'aware'] as const).map((method) => {
      const gain = 0.3 + sds[method] * draw();
      return line(method, run, gain, { final: { gold: 1 + gain, judge: gain, kl: kl[method] } });
    }),
  ).flat();
}

const verdictOf = (runs: RunRecord[]) => riskReport(runs, { replicates: 500 }).comparisons[0]?.verdict;

describe('a method', () => {
  const report = riskReport([line('vanilla', 0, 1), line('vanilla', 1, -2), line('vanilla', 2, 4)]);
  const vanilla = report.methods.vanilla!;
  test('moments and worst runs of the gains', () => {
    // gains 1, -2, 4: mean 1, variance (0 + 9 + 9) / 2 = 9
    expect(vanilla.gain).toMatchObject({
      n: 3,
      mean: 1,
      sd: 3,
      median: 1,
      quartiles: [-0.5, 2.5],
      min: -2,
      max: 4,
      cvar10: -2,
    });
  });
  test('worse is final below initial', () => {
    expect(vanilla.worse).toMatchObject({ count: 1, n: 3, p: 1 / 3 });
  });
  test('peak and drop come from the trajectory', () => {
    // windows of five: mean(1..5) = 3, mean(2, 3, 4, 5, 0) = 2.8
    expect(vanilla.peak.mean).toBe(3);
    expect(vanilla.peak.gain).toBe(2);
    expect(vanilla.dropFromPeak.mean).toBeCloseTo(0.2, 12);
  });
  test('seeds are listed, the measure is gold, there is nothing to compare', () => {
    expect(vanilla.seeds).toEqual([1000, 1001, 1002]);
    expect(report).toMatchObject({ measure: 'gold', comparisons: [], initial: { mean: 1, standardError: null } });
  });
});

describe('few runs', () => {
  test('one run has a gain and no spread; no number is NaN or infinite', () => {
    const report = riskReport([line('vanilla', 0, 0.5), line('aware', 0, 0.25)]);
    expect(report.methods.vanilla?.gain).toMatchObject({ n: 1, mean: 0.5, ci95: null, sd: null, sdCi95: null });
    expect(report.comparisons[0]).toMatchObject({
      pairs: 1,
      rewardModels: 1,
      pairedGain: { mean: -0.25, ci95: null, overBlocks: null },
      pairedSd: { a: null, b: null },
      varianceRatio: { value: null, ci95: null },
      brownForsythe: { F: null, p: null },
      pitmanMorganP: null,
      verdict: 'too few runs to tell',
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
  test('two runs have a spread, and no interval of the variance ratio', () => {
    const runs = [line('vanilla', 0, 0), line('aware', 0, 0), line('vanilla', 1, 2), line('aware', 1, 1)];
    const [comparison] = riskReport(runs).comparisons;
    expect(comparison?.varianceRatio).toEqual({ value: 4, ci95: null });
    expect(comparison?.verdict).toBe('too few runs to tell');
  });
  test('29 pairs are too few and 30 are enough', () => {
    expect(verdictOf(experiment(29, { vanilla: 1, aware: 0.2 }))).toBe('too few runs to tell');
    expect(verdictOf(experiment(30, { vanilla: 1, aware: 0.2 }))).toBe('steadier');
  });
});

describe('the verdict', () => {
  test('follows the interval of the variance ratio', () => {
    expect(verdictOf(experiment(40, { vanilla: 0.2, aware: 1 }))).toBe('less steady');
    expect(verdictOf(experiment(40, { vanilla: 0.5, aware: 0.5 }))).toBe('no difference shown');
  });
  test('needs mean KLs within 15 % of each other', () => {
    expect(verdictOf(experiment(40, { vanilla: 1, aware: 0.2 }, { vanilla: 3.4, aware: 3 }))).toBe('steadier');
    const runs = experiment(40, { vanilla: 1, aware: 0.2 }, { vanilla: 3, aware: 3.5 });
    const report = riskReport(runs, { replicates: 500 });
    expect(report.comparisons[0]).toMatchObject({ klMatched: false, verdict: 'not comparable' });
    expect(report.warnings).toEqual([
      'aware and vanilla ended at different mean KLs (3.50 and 3.00 nats): not a fair comparison',
    ]);
  });
  test('compares the KLs of the pairs: runs without a partner are no part of it', () => {
    const pairs = experiment(40, { vanilla: 1, aware: 0.2 }, { vanilla: 3, aware: 3.6 });
    const alone = experiment(80, { vanilla: 1, aware: 0.2 }, { vanilla: 4.2, aware: 3.6 }).slice(80);
    const report = riskReport([...pairs, ...alone.filter(({ method }) => method === 'vanilla')], { replicates: 500 });
    expect(report.methods.vanilla!.kl.mean).toBeCloseTo(3.6);
    const pairedKl = { a: expect.closeTo(3), b: expect.closeTo(3.6) };
    expect(report.comparisons[0]).toMatchObject({ pairs: 40, pairedKl, klMatched: false, verdict: 'not comparable' });
    expect(verdictTexts(report)[0]!.headline).toContain('their mean final KLs are 3.60 and 3.00 nats');
    expect(report.warnings.filter((warning) => warning.includes('partner'))).toEqual([
      'vanilla: 40 runs without a partner of aware, left out of their paired comparison',
    ]);
  });
  test('is withheld where the methods pay their KL penalty in different places, however many or few runs there are', () => {
    const report = (count: number, klPlacements: Record<string, string>) =>
      riskReport(experiment(count, { vanilla: 1, aware: 0.2 }), { replicates: 500, klPlacements });
    const mixed = { vanilla: 'token', aware: 'terminal' };
    const { comparisons, byJudge, warnings, ...rest } = report(40, mixed);
    for (const [comparison] of [comparisons, byJudge!.comparisons, report(3, mixed).comparisons])
      expect(comparison).toMatchObject({ klMatched: true, klPlacements: { a: 'token', b: 'terminal' }, verdict: 'not comparable' }); // prettier-ignore
    expect(verdictTexts({ comparisons, byJudge, warnings, ...rest })[0]!.headline).toBe(
      'aware and vanilla are not comparable: they pay the KL penalty in different places (klPlacement terminal and token).',
    );
    expect(warnings).toEqual([
      'aware and vanilla pay the KL penalty in different places (klPlacement terminal and token): what differs may be due to that',
    ]);
    const alike = report(40, { vanilla: 'terminal', aware: 'terminal' });
    expect(alike).toEqual(report(40, { aware: 'terminal' }));
    expect(alike.comparisons[0]!.verdict).toBe('steadier');
  });
  test('is withheld where the steadier-looking method failed more often', () => {
    const runs = experiment(40, { vanilla: 1, aware: 0.2 });
    const failing = runs.map((run) =>
      run.method === 'aware' && run.run < 4 ? { ...run, status: 'failed' as const } : run,
    );
    const report = riskReport(failing, { replicates: 500 });
    expect(report.comparisons[0]).toMatchObject({ pairs: 36, klMatched: true, verdict: 'not comparable' });
    expect(report.warnings.join('\n')).toContain('its spread is that of its survivors');
  });
  test('is withheld where all runs share a few reward models', () => {
    const runs = experiment(40, { vanilla: 1, aware: 0.2 }).map((run) => ({ ...run, member: run.run % 4 }));
    expect(verdictOf(runs)).toBe('too few runs to tell');
  });
  test('is withheld where a statistic of all members is the reward: a data set has one, whatever the number of runs', () => {
    const runs = experiment(40, { vanilla: 1, aware: 0.2 });
    const mean = (run: RunRecord) => ({ ...run, reward: 'mean', member: undefined });
    const spread = (run: RunRecord) => ({ ...run, block: `data-${run.run % 8}` });
    expect(verdictOf(runs.map(mean))).toBe('too few runs to tell');
    expect(verdictOf(runs.map((run) => (run.method === 'aware' ? mean(run) : run)))).toBe('too few runs to tell');
    expect(verdictOf(runs.map((run) => ({ ...run, reward: 'member' })))).toBe('steadier');
    expect(verdictOf(runs.map(mean).map(spread))).toBe('steadier');
    expect(riskReport(runs.map(mean).map(spread), { replicates: 100 }).warnings).toContain(
      'aware: 40 runs follow 8 reward models and are no independent runs; intervals that take each for itself are too narrow',
    );
  });
  test.each<[string, (gain: number) => number, string]>([
    ['aware', () => 0.1, 'The steadiness of aware and vanilla is not comparable: every gain of aware is the same.'],
    [
      'either',
      () => 0,
      'The steadiness of aware and vanilla is not comparable: every gain of aware is the same, and every gain of vanilla is the same.',
    ],
  ])('is withheld where the gains of %s are all the same, but for rounding', (which, gainOf, headline) => {
    const runs = experiment(40, { vanilla: 1, aware: 1 }).map((run) => {
      if (run.status !== 'completed' || (which === 'aware' && run.method === 'vanilla')) return run;
      // (x + .1) - x is .1 but for rounding, and not the same for all x.
      const initial = 0.3 + run.run / 7;
      return { ...run, initial: { gold: initial }, final: { ...run.final, gold: initial + gainOf(run.run) } };
    });
    const report = riskReport(runs, { replicates: 200 });
    const [comparison] = report.comparisons;
    expect(comparison).toMatchObject({
      varianceRatio: { value: null, ci95: null },
      pitmanMorganP: null,
      pairedSd: { b: 0 },
      verdict: 'not comparable',
    });
    expect(verdictTexts(report)[0]!.headline).toBe(headline);
    expect(report.warnings.join('\n')).toContain('are all the same, so that no variances can be compared');
    expect(report.warnings.join('\n')).not.toMatch(/reward models for an interval|survivors/);
  });
  test('that too few of the gains differ is not said to be for want of reward models', () => {
    const runs = experiment(40, { vanilla: 1, aware: 1 }).map((run) =>
      run.method === 'aware' && run.status === 'completed'
        ? { ...run, final: { ...run.final, gold: run.run === 0 ? 2 : 1 } }
        : run,
    );
    expect(verdictTexts(riskReport(runs, { replicates: 200 }))[0]!.headline).toBe(
      'Too few runs to tell whether aware is steadier than vanilla: too few of their gains differ.',
    );
  });
  test('the bootstrap resamples whole reward models: 40 runs of 10 members are less certain than of 40', () => {
    const runs = experiment(10, { vanilla: 1, aware: 1 });
    const copies = (memberOf: (run: number, copy: number) => number) =>
      [0, 1, 2, 3].flatMap((copy) =>
        runs.map((run) => ({ ...run, run: run.run + 10 * copy, member: memberOf(run.run, copy) })),
      );
    const width = (records: RunRecord[]) => {
      const [low, high] = riskReport(records, { replicates: 500 }).comparisons[0]?.varianceRatio.ci95 as [
        number,
        number,
      ];
      return high / low;
    };
    expect(width(copies((run) => run))).toBeGreaterThan(1.3 * width(copies((run, copy) => run + 10 * copy)));
  });
});

describe('data sets', () => {
  const on = (block: string, run: number, vanilla: number, aware: number, changes = {}) => [
    line('vanilla', run, vanilla, { block, member: run, ...changes }),
    line('aware', run, aware, { block, member: run, ...changes }),
  ];
  // Differences 1 and 3 on data set a, 4 and 6 on b, 9 on c: means 2, 5, 9.
  const runs = [
    ...on('a', 0, 0, 1),
    ...on('a', 1, -1, 2),
    ...on('b', 0, 1, 5),
    ...on('b', 1, 2, 8),
    ...on('c', 0, -3, 6),
  ];
  const report = riskReport(runs);
  test('what a method came to on each', () => {
    expect(report.methods.vanilla!.blocks).toEqual([
      { block: 'a', n: 2, gain: { n: 2, mean: -0.5, sd: expect.closeTo(Math.SQRT1_2, 12) }, worse: { count: 1, n: 2 } },
      { block: 'b', n: 2, gain: { n: 2, mean: 1.5, sd: expect.closeTo(Math.SQRT1_2, 12) }, worse: { count: 0, n: 2 } },
      { block: 'c', n: 1, gain: { n: 1, mean: -3, sd: null }, worse: { count: 1, n: 1 } },
    ]);
  });
  test('the paired gain over them: mean 16/3, sd sqrt(37/3), t of 2 degrees 4.3027', () => {
    const { mean, ci95, overBlocks } = report.comparisons[0]!.pairedGain;
    expect(mean).toBeCloseTo(23 / 5, 12);
    expect(overBlocks).toMatchObject({ blocks: 3, mean: expect.closeTo(16 / 3, 12) });
    const half = (4.302653 * Math.sqrt(37 / 3)) / Math.sqrt(3);
    expect(overBlocks!.ci95[0]).toBeCloseTo(16 / 3 - half, 5);
    expect(overBlocks!.ci95[1]).toBeCloseTo(16 / 3 + half, 5);
    expect(ci95![1] - ci95![0]).toBeLessThan(2 * half);
    expect(verdictTexts(report)[0]!.evidence).toContain(
      "These intervals are for runs on these 3 data sets; over data sets (Student's t of the 3 means) that gain is +5.33 (95 % interval −3.39 to +14.06).",
    );
  });
  test('blocks with the same reward models are one: nothing is gained over data sets, and they share their errors', () => {
    const same = runs.map((run) => ({ ...run, ensemble: 'a' }));
    const { methods, comparisons } = riskReport(same);
    expect(methods.aware!.blocks).toMatchObject([{ block: 'a', n: 5 }]);
    expect(comparisons[0]).toMatchObject({ rewardModels: 2, pairedGain: { overBlocks: null } });
    expect(report.comparisons[0]!.rewardModels).toBe(5);
  });
});

describe('failed and cancelled runs', () => {
  const failed = { status: 'failed', initial: undefined, final: undefined };
  const runs = [
    line('vanilla', 0, 1),
    line('aware', 0, 1),
    line('vanilla', 1, 1),
    line('aware', 1, 0, failed),
    line('vanilla', 2, 0, { status: 'cancelled' }),
  ];
  const report = riskReport(runs);
  test('a failed run counts as worse and not in the moments', () => {
    expect(report.methods.aware).toMatchObject({ n: 2, failed: 1, gain: { n: 1, mean: 1 }, worse: { count: 1, n: 2 } });
    expect(report.comparisons[0]).toMatchObject({ pairs: 1, worse: { mcnemar: { aOnly: 0, bOnly: 1, p: 1 } } });
    expect(verdictTexts(report)[0]!.evidence).toContain(
      'aware ended worse than it began in 1 of 2 runs (1 failed, which counts as worse), vanilla in 0 of 2 (p',
    );
  });
  test('standard deviations beside the ratio are those of the pairs, as the ratio is', () => {
    // vanilla 0, 2, 100 and aware 0, 1: over two pairs sqrt 2 and sqrt .5, a ratio of 4
    const uneven = [line('vanilla', 0, 0), line('aware', 0, 0), line('vanilla', 1, 2), line('aware', 1, 1)];
    const [text] = verdictTexts(riskReport([...uneven, line('vanilla', 2, 100), line('aware', 2, 0, failed)]));
    expect(text!.evidence).toContain(
      'Over the 2 pairs gains varied by a standard deviation of 0.71 with aware and 1.41 with vanilla; variance ratio of vanilla to aware 4.00.',
    );
  });
  test('a cancelled run counts nowhere and is named', () => {
    expect(report.methods.vanilla?.n).toBe(2);
    expect(report.warnings).toContain('1 cancelled run left out: vanilla data-11 2');
  });
  test('an experiment whose runs all failed still has a report', () => {
    const allFailed = riskReport([line('vanilla', 0, 0, failed), line('aware', 0, 0, failed)]);
    expect(allFailed.methods.vanilla).toMatchObject({
      worse: { count: 1 },
      gain: { n: 0, mean: null },
      kl: { mean: null },
    });
    expect(JSON.parse(JSON.stringify(allFailed))).toEqual(allFailed);
  });
});

describe('warnings', () => {
  const warningsOf = (runs: RunRecord[]) => riskReport(runs).warnings.join('\n');
  test.each<[string, RunRecord[]]>([
    ['vanilla: 1 run without a partner', [line('vanilla', 0, 0), line('aware', 0, 0), line('vanilla', 1, 0)]],
    ['partners of 1 pair differ in seed or reward member', [line('vanilla', 0, 0), line('aware', 0, 0, { seed: 1 })]],
    [
      'vanilla data-11 0, vanilla data-11 1 share seed 1000',
      [line('vanilla', 0, 0), line('vanilla', 1, 0, { seed: 1000 })],
    ],
    ['vanilla: 1 completed run; a claim', [line('vanilla', 0, 0)]],
    [
      'every run is measured by the judge',
      [line('vanilla', 0, 0), line('vanilla', 1, 0, { initial: { judge: 0 }, final: { judge: 1, kl: 3 } })],
    ],
  ])('%s', (expected, runs) => {
    expect(warningsOf(runs)).toContain(expected);
  });
});

test('what the trainers warned of is said once, with the number of runs', () => {
  const warned = { warnings: ['responses are cut'] };
  const runs = [line('vanilla', 0, 0, warned), line('aware', 0, 0, warned), line('vanilla', 1, 0)];
  const cancelled = line('aware', 1, 0, { ...warned, status: 'cancelled' });
  const { warnings } = riskReport([...runs, cancelled]);
  expect(warnings.filter((text) => text.includes('cut'))).toEqual(['2 of 3 runs: responses are cut']);
});

test('the methods so far are those of the report, and none before a run has ended', () => {
  const runs = [line('aware', 0, 1), line('vanilla', 0, 0), line('vanilla', 1, 2)];
  const { measure, methods } = riskReport(runs);
  expect(methodSummaries(runs)).toEqual({ measure, methods });
  expect(methodSummaries([]).methods).toEqual({});
});

describe('input', () => {
  test('the order of the lines does not matter', () => {
    const runs = experiment(10, { vanilla: 1, aware: 0.5 });
    expect(riskReport(runs.toReversed())).toEqual(riskReport(runs));
  });
  test.each<[string, RunRecord[]]>([
    ['nothing to report', []],
    ['run 0 of vanilla in block data-11 is given 2 times', [line('vanilla', 0, 0), line('vanilla', 0, 1)]],
    [
      'some runs have only gold values and some only judge scores',
      [
        line('vanilla', 0, 0, { initial: { gold: 0 }, final: { gold: 0, kl: 1 } }),
        line('vanilla', 1, 0, { initial: { judge: 0 }, final: { judge: 0, kl: 1 } }),
      ],
    ],
  ])('%s', (message, runs) => {
    expect(() => riskReport(runs)).toThrow(
      expect.objectContaining({ kind: 'invalid_argument', message: expect.stringContaining(message) }),
    );
  });
});

describe('judge against gold', () => {
  test('correlates final values over the runs that have both', () => {
    const runs = [0, 1, 2, 3].map((run) => line('vanilla', run, run));
    expect(riskReport(runs).judgeAgainstGold).toMatchObject({ n: 4, pearson: 1, spearman: 1 });
    expect(riskReport([line('vanilla', 0, 0, { final: { gold: 1, kl: 1 } })]).judgeAgainstGold).toBeNull();
  });
});

describe('in words', () => {
  test('three pairs: no claim, and the figures so far', () => {
    const runs = [0, 1, 2].flatMap((run) => [line('vanilla', run, run - 1), line('aware', run, 1)]);
    expect(verdictTexts(riskReport(runs))).toEqual([
      {
        headline:
          'Too few runs to tell whether aware is steadier than vanilla: 3 completed pairs, and at least 30 are needed.',
        evidence:
          'Gains varied by a standard deviation of 0.00 with aware and 1.00 with vanilla. ' +
          "aware ended worse than it began in 0 of 3 runs, vanilla in 1 of 3 (p = 1.000 by McNemar's test on the pairs). " +
          'On average aware gained +1.00 (95 % interval −1.48 to +3.48) in gold value relative to vanilla. ' +
          'All are on one data set: the intervals say nothing of others.',
      },
    ]);
  });
  test('only a steadier verdict says steadier without a doubt', () => {
    const headline = (...runs: Parameters<typeof experiment>) =>
      verdictTexts(riskReport(experiment(...runs)))[0]?.headline;
    expect(headline(40, { vanilla: 1, aware: 0.2 })).toBe('aware is steadier than vanilla.');
    expect(headline(40, { vanilla: 0.2, aware: 1 })).toBe('aware is less steady than vanilla.');
    expect(headline(40, { vanilla: 0.5, aware: 0.5 })).toBe(
      'No difference in steadiness between aware and vanilla is shown.',
    );
    expect(headline(40, { vanilla: 1, aware: 0.2 }, { vanilla: 3, aware: 4 })).toBe(
      'aware and vanilla are not comparable: their mean final KLs are 4.00 and 3.00 nats.',
    );
  });
  test('a single method is described', () => {
    expect(verdictTexts(riskReport([line('vanilla', 0, 0.5)]))[0]?.evidence).toBe(
      'Over 1 run the mean gain in gold value was +0.50. vanilla ended worse than it began in 0 of 1 run.',
    );
  });
});

describe('the judge beside gold', () => {
  // gold falls in runs 1 and 2 of vanilla; the judge sees the first of these alone, and a fall of its own in run 3
  const judged = (run: number, gold: number, judge: number) =>
    line('vanilla', run, gold, { final: { gold: 1 + gold, judge: judge - 1, kl: 3 } });
  const runs = [judged(0, 1, 1), judged(1, -1, -0.5), judged(2, -1, 0.2), judged(3, 1, -0.1)];
  test('what it would have said, and where the two differ', () => {
    const { byJudge, methods } = riskReport(runs);
    expect(byJudge?.worse).toEqual({ both: 1, goldOnly: 1, judgeOnly: 1, neither: 1 });
    expect(byJudge?.methods.vanilla!.worse.count).toBe(2);
    expect(byJudge?.methods.vanilla!.gain.mean).toBeCloseTo(0.15, 12);
    expect(methods.vanilla!.gain.mean).toBe(0);
  });
  test('its comparisons are those of a report without gold', () => {
    const both = experiment(30, { vanilla: 2, aware: 1 });
    const withoutGold = both.map((run) =>
      run.status === 'completed'
        ? { ...run, initial: { judge: run.initial.judge }, final: { ...run.final, gold: undefined } }
        : run,
    ) as RunRecord[];
    const options = { replicates: 200 };
    expect(riskReport(both, options).byJudge?.comparisons).toEqual(riskReport(withoutGold, options).comparisons);
    expect(riskReport(withoutGold, options).byJudge).toBeNull();
  });
});
