import { describe, expect, test } from '@jest/globals';
import { wilsonInterval } from '../held-out-report';
import { benchmarkAccuracies, overallAccuracy } from './accuracies';
import { rowsOfSubset, sectionNames, sectionSubsets } from './sections';

/** Items of a subset, so many right ones of so many, and ties. */
function items(subset: string, right: number, all: number, ties = 0) {
  return Array.from({ length: all }, (_, i) => ({ subset, margin: i < right ? 1 : i < right + ties ? 0 : -1 }));
}

test('the subsets have the 2,985 rows of the benchmark, and math-prm weighs as much as code', () => {
  const subsets = sectionNames.flatMap((section) => Object.entries(sectionSubsets[section]));
  expect(subsets).toHaveLength(23);
  expect(subsets.reduce((sum, [name]) => sum + rowsOfSubset(name)!, 0)).toBe(2985);
  const { 'math-prm': math, ...code } = sectionSubsets.Reasoning;
  expect(math).toBe(Object.values(code).reduce((sum, weight) => sum + weight));
});

describe('sections', () => {
  test('are means of their subsets by the benchmark’s weights, whatever the rows of the file', () => {
    const { sections } = benchmarkAccuracies([...items('math-prm', 1, 4), ...items('hep-go', 2, 2)]);
    // (984 × 1/4 + 164 × 1) / (984 + 164) = 410 / 1148
    expect(sections.Reasoning?.accuracy).toBeCloseTo(410 / 1148, 12);
    expect(sections.Reasoning?.missing).toEqual(['hep-cpp', 'hep-java', 'hep-js', 'hep-python', 'hep-rust']);
    expect(Object.keys(sections)).toEqual(['Reasoning']);
  });
  test('have the interval of the pooled rows where every row weighs the same', () => {
    const { sections } = benchmarkAccuracies([
      ...items('mt-bench-easy', 20, 28),
      ...items('mt-bench-med', 31, 40),
      ...items('alpacaeval-length', 80, 95),
    ]);
    expect(sections.Chat?.effectiveItems).toBeCloseTo(163, 9);
    const [low, high] = wilsonInterval(131, 163);
    expect(sections.Chat?.accuracyCi95[0]).toBeCloseTo(low, 12);
    expect(sections.Chat?.accuracyCi95[1]).toBeCloseTo(high, 12);
  });
  test('have a wider one where few rows carry the weight', () => {
    const { sections } = benchmarkAccuracies([...items('math-prm', 1, 2), ...items('hep-go', 82, 164)]);
    // weights 6/7 and 1/7: 1 / ((6/7)^2 / 2 + (1/7)^2 / 164)
    expect(sections.Reasoning?.effectiveItems).toBeCloseTo(1 / (18 / 49 + 1 / 49 / 164), 9);
  });
});

describe('overall', () => {
  const part = (percent: number) => ({ accuracy: percent / 100, effectiveItems: 500 });
  const published = { Chat: part(99.4), 'Chat Hard': part(65.1), Safety: part(87.8), Reasoning: part(86.4) };
  test('is 83.6 for the published sections 99.4, 65.1, 87.8, 86.4 and prior sets 74.9', () => {
    // (2 (99.4 + 65.1 + 87.8 + 86.4) + 74.9) / 9 = 752.3 / 9
    expect(overallAccuracy(published, part(74.9)).overall?.accuracy).toBeCloseTo(7.523 / 9, 12);
  });
  test('is the plain mean of the sections where there are no prior sets', () => {
    const { overall, meanOfSections } = overallAccuracy(published, null);
    expect(overall?.accuracy).toBeCloseTo(3.387 / 4, 12);
    expect(meanOfSections?.accuracy).toBeCloseTo(3.387 / 4, 12);
    expect(overall?.missing).toEqual(['Prior Sets']);
  });
  test('says which sections it lacks, and is then no mean of four', () => {
    const { overall, meanOfSections } = overallAccuracy({ Safety: part(80) }, part(50));
    expect(overall?.accuracy).toBeCloseTo((2 * 0.8 + 0.5) / 3, 12);
    expect(overall?.missing).toEqual(['Chat', 'Chat Hard', 'Reasoning']);
    expect(meanOfSections).toBeNull();
  });
});

test('prior sets count alike, however many rows they have', () => {
  const { priorSets, overall } = benchmarkAccuracies([...items('shp', 1, 2), ...items('anthropic_hhh', 90, 100)]);
  expect(priorSets?.accuracy).toBeCloseTo(0.7, 12);
  expect(priorSets?.missing).toEqual(['anthropic_helpful', 'summarize']);
  expect(overall?.accuracy).toBeCloseTo(0.7, 12);
});

test('subsets of one’s own are reported and belong to nothing', () => {
  const found = benchmarkAccuracies(items('mine', 1, 4, 2));
  expect(found.subsets['mine']).toMatchObject({ items: 4, correct: 1, ties: 2, accuracy: 0.25, rowsOfBenchmark: null });
  expect([found.sections, found.priorSets, found.overall]).toEqual([{}, null, null]);
});
