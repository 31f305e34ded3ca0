// Hand-made experiments for the tests of this library: no run of them ever happened.
import { parseRunRecord, type RunRecord } from '@surefoot/risk';
import type { DisagreementScores } from './disagreement-charts';
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

/** Scores of ten members on 400 texts, far apart on some. */
export function exampleDisagreement(): DisagreementScores {
  const uniform = exampleNumbers(11);
  const normal = () => Array.from({ length: 12 }, uniform).reduce((sum, u) => sum + u, -6);
  const texts = Array.from({ length: 400 }, (_, i) => {
    const [centre, spread] = [0.8 * normal(), 0.3 + 0.9 * uniform() ** 2];
    const scores = Array.from({ length: 10 }, () => centre + spread * normal());
    return { id: `text-${i}`, scores, range: Math.max(...scores) - Math.min(...scores) };
  });
  return { texts };
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
