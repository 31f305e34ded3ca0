// Hand-made experiments for the tests of this library: no run of them ever happened.
import { parseRunRecord, quantile, spearman, type RunRecord } from '@surefoot/risk';
import type { DisagreementScores } from './disagreement-charts';
import type { RewardBenchScores } from './rewardbench-charts';
import type { RunSamples } from './samples';

/** Numbers in [0, 1) that look random and are always the same (Lehmer's generator). */
export function exampleNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** `pairs` runs of two methods, of which the first varies more and drops after its peak. */
export function exampleRuns(pairs: number, methods = ['vanilla', 'variance-weighted-kl']): RunRecord[] {
  const uniform = exampleNumbers(7);
  const normal = () => Array.from({ length: 12 }, uniform).reduce((sum, u) => sum + u, -6);
  return Array.from({ length: pairs }, (_, pair) => {
    const shared = normal();
    return methods.map((method, m) => {
      const [mean, sd] = m === 0 ? [0.2, 0.34] : [0.47, 0.22];
      const gain = mean + sd * (0.5 * shared + 0.87 * normal());
      return exampleRun({ method, index: pair * methods.length + m, pair, gain, drop: m === 0 ? 0.35 : 0.18, normal });
    });
  }).flat();
}

function exampleRun(run: {
  method: string;
  index: number;
  pair: number;
  gain: number;
  drop: number;
  normal: () => number;
}): RunRecord {
  const { method, index, pair, gain, drop, normal } = run;
  const initial = 0.12;
  const iterations = 60;
  const at = (i: number) => (i + 1) / iterations;
  const hump = (i: number) => Math.sin(Math.PI * Math.min(1, at(i) * 1.1)) * drop;
  const gold = Array.from({ length: iterations }, (_, i) => initial + gain * at(i) + hump(i) + 0.05 * normal());
  const kl = Array.from({ length: iterations }, (_, i) =>
    Math.max(0, 3 * (1 - Math.exp(-6 * at(i))) + 0.12 * normal()),
  );
  const line = {
    method,
    block: pair % 20 < 10 ? 'data-11' : 'data-12',
    run: (pair % 10) + 10 * Math.floor(pair / 20),
    index,
    member: pair % 10,
    seed: 1000 + pair,
    status: 'completed',
    iterations,
    initial: { gold: initial, judge: -0.4, standardError: 0.012 },
    final: { gold: initial + gain, judge: -0.3 + 0.9 * gain + 0.08 * normal(), kl: 3 + 0.15 * normal(), reward: 1.2 },
    trajectory: { gold, kl },
    seconds: 11 + normal(),
  };
  return parseRunRecord(line, `example ${index}`);
}

/** Scores of ten members on 400 texts, far apart on some, against 200 on which they agree more. */
export function exampleDisagreement(): DisagreementScores {
  const uniform = exampleNumbers(11);
  const normal = () => Array.from({ length: 12 }, uniform).reduce((sum, u) => sum + u, -6);
  const drawTexts = (count: number, prefix: string, far: number) =>
    Array.from({ length: count }, (_, i) => {
      const distance = Math.round(10 * far * uniform()) / 10;
      const [centre, spread] = [0.8 * normal(), 0.3 + 0.9 * distance * uniform() ** 2];
      const scores = Array.from({ length: 10 }, () => centre + spread * normal());
      const range = Math.max(...scores) - Math.min(...scores);
      const response = `well the soup is quite bland and rather warm, said number ${i} .`;
      return { id: `${prefix} ${i}`, scores, range, distance, prompt: 'how is the soup ?', response };
    });
  const texts = drawTexts(400, 'response', 1);
  const byRange = texts.toSorted((a, b) => b.range - a.range).map(({ id }) => id);
  const groups = [0, 0.2, 0.4, 0.6, 0.8].map((from) => {
    const ranges = texts.filter(({ distance }) => distance >= from && distance < from + 0.2).map(({ range }) => range);
    const [low, median, high] = [0.25, 0.5, 0.75].map((level) => quantile(ranges, level)) as [number, number, number];
    return { from, to: from + 0.1, texts: ranges.length, median, quartiles: [low, high] as const };
  });
  const member = (k: number) => texts.map(({ scores }) => scores[k]!);
  return {
    name: 'responses of the start policy',
    texts,
    widest: byRange.slice(0, 5),
    narrowest: byRange.slice(-5).reverse(),
    spearman: Array.from({ length: 10 }, (_, a) =>
      Array.from({ length: 10 }, (__, b) => spearman(member(a), member(b))),
    ),
    against: { name: 'responses of the pairs', texts: drawTexts(200, 'pair', 0.3), wider: 0.6, medianRatio: 1.15 },
    distance: { from: 'the pairs', spearman: 0.62, groups },
  };
}

/** What ten members make of 300 items in two sections. */
export function exampleBenchmark(): RewardBenchScores {
  const uniform = exampleNumbers(13);
  const share = (accuracy: number) => ({
    accuracy,
    accuracyCi95: [Math.max(0, accuracy - 0.06), Math.min(1, accuracy + 0.06)] as const,
  });
  const scorer = (accuracy: number) => ({
    ...share(accuracy),
    items: 300,
    subsets: { 'alpacaeval-easy': { ...share(accuracy + 0.1), rowsOfBenchmark: 100 } },
    sections: {
      Chat: { ...share(accuracy + 0.1), missing: ['mt-bench-easy'] },
      'Chat Hard': { ...share(accuracy - 0.15), missing: [] },
    },
    priorSets: null,
    overall: share(accuracy - 0.02),
    calibration: {
      ece: 0.04 + 0.04 * uniform(),
      reliability: [0.55, 0.65, 0.75, 0.85, 0.95].map((confidence) => ({
        ...share(confidence - 0.05 * uniform()),
        items: 60,
        confidence,
      })),
    },
  });
  const curve = (slope: number) => ({
    points: Array.from({ length: 20 }, (_, i) => ({
      coverage: (i + 1) / 20,
      accuracy: 0.7 + slope * (1 - (i + 1) / 20),
    })),
    area: 0.7 + slope / 2,
  });
  return {
    mean: scorer(0.7),
    members: Array.from({ length: 10 }, () => scorer(0.6 + 0.12 * uniform())),
    coverage: { byVariance: curve(0.1), byMargin: curve(0.14) },
  };
}

/** What the best and the worst of the example runs answered. */
export const exampleSamples: RunSamples[] = [
  {
    title: 'Best run',
    method: 'variance-weighted-kl',
    block: 'data-12',
    run: 4,
    gain: 0.96,
    responses: [
      {
        prompt: 'how is the soup ?',
        before: { text: 'well the soup is quite bland and rather warm i guess .', value: 0.1 },
        after: { text: 'honestly the soup is very tasty and truly fresh enjoy .', value: 1.4 },
      },
      {
        prompt: 'how is the chair ?',
        before: { text: 'well the chair is quite old and rather sturdy thanks .', value: 0.3 },
        after: { text: 'honestly the chair is very sturdy and truly comfortable enjoy .', value: 1.2 },
      },
    ],
  },
  {
    title: 'Worst run',
    method: 'vanilla',
    block: 'data-11',
    run: 7,
    gain: -0.61,
    responses: [
      {
        prompt: 'how is the chair ?',
        before: { text: 'well the chair is quite old and rather sturdy thanks .', value: 0.3 },
        after: { text: 'whatever the chair is very tasty and very tasty whatever .', value: -0.9 },
      },
    ],
  },
];
