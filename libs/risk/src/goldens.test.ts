// Reference values of scipy 1.17.1 and statsmodels 0.15.0 (goldens/golden/statistics.json), to the tolerances stated there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { bootstrap, percentileInterval } from './bootstrap';
import { fisherExact, mcnemarExact } from './contingency';
import { correlationP, pearson, ranks, spearman } from './correlation';
import {
  betaQuantile,
  chiSquareQuantile,
  fSurvival,
  normalCdf,
  normalQuantile,
  studentQuantile,
  studentTwoSided,
} from './distributions';
import { meanInterval, proportionInterval, standardDeviationInterval } from './intervals';
import { mean, meanOfWorstTenth, quantile, standardDeviation, variance } from './moments';
import { incompleteBeta, incompleteGamma, logGamma } from './special-functions';
import { brownForsythe, varianceRatio } from './spread';

const path = join(__dirname, '../../../../shared/goldens/golden/statistics.json');
const isThere = existsSync(path);
if (!isThere) console.warn(`SKIPPED: no reference statistics at ${path}`);

interface Tensor {
  shape: number[];
  data: number[];
}
interface Bounds {
  level: number;
  low: number;
  high: number;
}
interface Goldens {
  distributions: Record<string, number[][]>;
  describe: {
    values: Tensor;
    mean: number;
    variance_unbiased: number;
    sd_unbiased: number;
    quantile_levels: number[];
    quantiles_type7: Tensor;
    mean_of_worst_10_percent: number;
    sd_confidence_intervals_chi_square: Bounds[];
    mean_confidence_intervals_t: Bounds[];
  }[];
  clopper_pearson: (Bounds & { successes: number; trials: number })[];
  mcnemar_exact: { only_first: number; only_second: number; p: number }[];
  fisher_exact: { table: [[number, number], [number, number]]; p_two_sided: number }[];
  brown_forsythe: { groups: Tensor[]; statistic: number; p: number }[];
  paired_difference: { a: Tensor; b: Tensor; mean_difference: number; low95: number; high95: number }[];
  correlation: { a: Tensor; b: Tensor; pearson: number; pearson_p: number; spearman: number; ranks_a: Tensor }[];
  bootstrap: { statistic: string; values: Tensor; indices: Tensor; replicates: Tensor; percentile_low_high: Tensor }[];
  variance_ratio: {
    a: Tensor;
    b: Tensor;
    indices_a: Tensor;
    indices_b: Tensor;
    ratio: number;
    replicates: Tensor;
    percentile_low_high: Tensor;
  };
}

function expectClose(got: number | number[], expected: number | number[]): void {
  const wanted = [expected].flat();
  const found = [got].flat();
  expect(found).toHaveLength(wanted.length);
  wanted.forEach((value, i) => {
    const distance = Math.abs((found[i] as number) - value);
    if (!(distance <= 1e-10 + 1e-8 * Math.abs(value))) expect(found).toEqual(wanted);
  });
}

(isThere ? describe : describe.skip)('as scipy and statsmodels compute', () => {
  let golden: Goldens;
  beforeAll(() => {
    golden = JSON.parse(readFileSync(path, 'utf8'));
  });
  const functions: Record<string, (...numbers: number[]) => number> = {
    normal_cdf: normalCdf,
    normal_quantile: normalQuantile,
    chi2_cdf: (x, df) => incompleteGamma(df / 2, x / 2).lower,
    chi2_quantile: chiSquareQuantile,
    t_cdf: (t, df) => (t < 0 ? studentTwoSided(t, df) / 2 : 1 - studentTwoSided(t, df) / 2),
    t_quantile: studentQuantile,
    f_cdf: (f, d1, d2) => 1 - fSurvival(f, d1, d2),
    f_survival: fSurvival,
    beta_quantile: betaQuantile,
    incomplete_beta: incompleteBeta,
    log_gamma: logGamma,
    erf: (x) => 2 * normalCdf(x * Math.SQRT2) - 1,
  };
  test.each(Object.entries(functions))('%s', (name, compute) => {
    const rows = golden.distributions[name] as number[][];
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expectClose(compute(...row.slice(0, -1)), row.at(-1) as number);
  });

  test('moments, quantiles, worst tenth, intervals of mean and standard deviation', () => {
    for (const row of golden.describe) {
      const values = row.values.data;
      expectClose(mean(values), row.mean);
      expectClose(variance(values), row.variance_unbiased);
      expectClose(standardDeviation(values), row.sd_unbiased);
      expectClose(
        row.quantile_levels.map((level) => quantile(values, level)),
        row.quantiles_type7.data,
      );
      expectClose(meanOfWorstTenth(values), row.mean_of_worst_10_percent);
      for (const { level, low, high } of row.sd_confidence_intervals_chi_square)
        expectClose(standardDeviationInterval(values, level), [low, high]);
      for (const { level, low, high } of row.mean_confidence_intervals_t)
        expectClose(meanInterval(values, level), [low, high]);
    }
  });

  test('Clopper–Pearson', () => {
    for (const { successes, trials, level, low, high } of golden.clopper_pearson)
      expectClose(proportionInterval(successes, trials, level), [low, high]);
  });

  test('McNemar and Fisher', () => {
    for (const row of golden.mcnemar_exact) expectClose(mcnemarExact(row.only_first, row.only_second), row.p);
    for (const row of golden.fisher_exact) expectClose(fisherExact(row.table), row.p_two_sided);
  });

  test('Brown–Forsythe', () => {
    for (const row of golden.brown_forsythe) {
      const { F, p } = brownForsythe(...row.groups.map((group) => group.data));
      expectClose([F, p], [row.statistic, row.p]);
    }
  });

  test('paired difference by t', () => {
    for (const row of golden.paired_difference) {
      const [a, b] = [row.a.data, row.b.data];
      const difference = a.map((value, i) => value - (b[i] as number));
      expectClose(mean(difference), row.mean_difference);
      expectClose(meanInterval(difference), [row.low95, row.high95]);
    }
  });

  test('correlations', () => {
    for (const row of golden.correlation) {
      const [a, b] = [row.a.data, row.b.data];
      expectClose([pearson(a, b), spearman(a, b)], [row.pearson, row.spearman]);
      expectClose(correlationP(pearson(a, b), a.length), row.pearson_p);
      expectClose(ranks(a), row.ranks_a.data);
    }
  });

  test('bootstrap replicates and their percentile interval, drawn as the reference drew', () => {
    const statistics: Record<string, (values: number[]) => number> = {
      mean,
      sd_unbiased: standardDeviation,
      median: (values) => quantile(values, 0.5),
      mean_of_worst_10_percent: meanOfWorstTenth,
    };
    for (const row of golden.bootstrap) {
      const values = row.values.data;
      const indices = row.indices;
      const compute = statistics[row.statistic] as (values: number[]) => number;
      let next = 0;
      const replicates = bootstrap(values.length, (drawn) => compute(drawn.map((i) => values[i] as number)), {
        replicates: indices.shape[0] as number,
        integer: () => indices.data[next++] as number,
      });
      expectClose(replicates, row.replicates.data);
      expectClose(percentileInterval(replicates), row.percentile_low_high.data);
    }
  });

  test('variance ratio', () => {
    const { a, b, indices_a, indices_b, ratio, replicates, percentile_low_high } = golden.variance_ratio;
    const resample = (values: Tensor, indices: Tensor, row: number) => {
      const n = values.data.length;
      return indices.data.slice(row * n, (row + 1) * n).map((i) => values.data[i] as number);
    };
    expectClose(varianceRatio(a.data, b.data), ratio);
    const got = replicates.data.map((_, i) => varianceRatio(resample(a, indices_a, i), resample(b, indices_b, i)));
    expectClose(got, replicates.data);
    expectClose(percentileInterval(got), percentile_low_high.data);
  });
});
