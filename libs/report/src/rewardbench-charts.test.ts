import { expect, test } from '@jest/globals';
import { parseHTML } from 'linkedom';
import type { RewardBenchScores } from './rewardbench-charts';
import { rewardBenchFigures } from './rewardbench-figures';

type Scorer = RewardBenchScores['mean'];

const share = (accuracy: number) => ({
  accuracy,
  accuracyCi95: [Math.max(0, accuracy - 0.1), Math.min(1, accuracy + 0.1)] as const,
});

function scorer(accuracy: number): Scorer {
  return {
    ...share(accuracy),
    items: 60,
    subsets: {
      'hep-go': { ...share(accuracy), rowsOfBenchmark: 164 },
      'a < b': { ...share(0.4), rowsOfBenchmark: null },
    },
    sections: { Chat: { ...share(0.9), missing: [] }, Reasoning: { ...share(accuracy), missing: ['math-prm'] } },
    priorSets: null,
    overall: share(0.8),
    calibration: {
      ece: 0.1234,
      reliability: [
        { ...share(0.5), items: 40, confidence: 0.53 },
        { ...share(0.8), items: 20, confidence: 0.91 },
      ],
    },
  };
}

const curve = { points: [0.5, 1].map((coverage) => ({ coverage, accuracy: 1 - coverage / 4 })), area: 0.8125 };
const scores: RewardBenchScores = {
  mean: scorer(0.75),
  members: [scorer(0.6), scorer(0.7), scorer(0.8)],
  coverage: { byVariance: curve, byMargin: { ...curve, area: 0.7 } },
};

test('three SVG files: a row a section, overall and the user’s own subsets; a mark a member and one for the mean', async () => {
  const files = await rewardBenchFigures(scores);
  expect(files.map(({ name }) => name)).toEqual(['accuracies.svg', 'coverage.svg', 'reliability.svg']);
  const { document } = parseHTML(files[0]!.svg);
  expect([...document.querySelectorAll('text')].map(({ textContent }) => textContent)).toEqual(
    expect.arrayContaining([
      'Chat: 90 % (80 % to 100 %)',
      'Reasoning: 75 % (65 % to 85 %)',
      'Overall: 80 % (70 % to 90 %)',
      'a < b: 40 % (30 % to 50 %)',
    ]),
  );
  // Four rows of three diamonds; rules and whiskers are lines, the mean a circle.
  expect(document.querySelectorAll('g[fill="var(--series-1)"] path, path[fill="var(--series-1)"]')).toHaveLength(12);
  expect(document.querySelectorAll('circle')).toHaveLength(4);
  expect(files[0]?.caption).toContain('Of Reasoning only some subsets were there.');
});

test('the figures open on their own and say their numbers', async () => {
  for (const { svg, caption } of await rewardBenchFigures(scores)) {
    expect(svg).toMatch(/^<svg [^<>]*aria-label="[^<>]{20,}"[^<>]*><style>/);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(caption.length).toBeGreaterThan(40);
  }
  const [, coverage, reliability] = await rewardBenchFigures(scores);
  expect(coverage?.caption).toContain('by variance 0.813, by small margin 0.700');
  expect(reliability?.caption).toContain('Expected calibration error 0.123');
});

test('one member has no coverage to draw', async () => {
  const files = await rewardBenchFigures({ ...scores, members: [scorer(0.6)], coverage: null });
  expect(files.map(({ name }) => name)).toEqual(['accuracies.svg', 'reliability.svg']);
});
