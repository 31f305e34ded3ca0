import { wilsonInterval, type Accuracy } from '../held-out-report';
import { priorSets, rowsOfSubset, sectionNames, sectionSubsets, type Section } from './sections';

/** What came of the items of one subset. */
export interface SubsetAccuracy extends Accuracy {
  items: number;
  correct: number;
  /** Items whose two deciding answers have one score: counted as wrong. */
  ties: number;
  /** Rows of the whole subset of RewardBench v1; null for other subsets. */
  rowsOfBenchmark: number | null;
}

/** A weighted mean of accuracies. */
export interface WeightedAccuracy extends Accuracy {
  /** Items that would leave as much uncertainty if all counted alike: 1 / sum of (weight of an item)^2 (Kish 1965). */
  effectiveItems: number;
  /** What belongs to it and has no items here; the weights of the others are raised to make up for it. */
  missing: string[];
}

/** Accuracies as the leaderboard of RewardBench v1 takes them together. */
export interface BenchmarkAccuracies {
  /** Every subset that has items. */
  subsets: Record<string, SubsetAccuracy>;
  /** Those of which a subset has items. */
  sections: Partial<Record<Section, WeightedAccuracy>>;
  /** Plain mean of the prior sets; null where none has items. */
  priorSets: WeightedAccuracy | null;
  /** Sections and prior sets at 2 : 2 : 2 : 2 : 1; null without any of them. */
  overall: WeightedAccuracy | null;
  /** Plain mean of the four sections; null unless all are there. */
  meanOfSections: WeightedAccuracy | null;
}

/** Accuracies of subsets, of sections, and overall. @param items their subset and margin, as `decide` gives it */
export function benchmarkAccuracies(items: readonly { subset: string; margin: number }[]): BenchmarkAccuracies {
  const names = [...new Set(items.map(({ subset }) => subset))].sort();
  const subsets = Object.fromEntries(
    names.map((name) => {
      const margins = items.filter(({ subset }) => subset === name).map(({ margin }) => margin);
      return [name, { ...accuracyOfMargins(margins), rowsOfBenchmark: rowsOfSubset(name) }];
    }),
  );
  const mean = (weights: Record<string, number>) =>
    weightedAccuracy(
      Object.entries(weights).map(([name, weight]) => {
        const subset = subsets[name];
        return { name, weight, part: subset && { accuracy: subset.accuracy, effectiveItems: subset.items } };
      }),
    );
  const sections: BenchmarkAccuracies['sections'] = {};
  for (const name of sectionNames) {
    const section = mean(sectionSubsets[name]);
    if (section) sections[name] = section;
  }
  const prior = mean(Object.fromEntries(priorSets.map((name) => [name, 1])));
  return { subsets, sections, priorSets: prior, ...overallAccuracy(sections, prior) };
}

/** Share of margins above 0, with the number of ties. */
export function accuracyOfMargins(margins: readonly number[]): Omit<SubsetAccuracy, 'rowsOfBenchmark'> {
  const correct = margins.filter((margin) => margin > 0).length;
  return {
    items: margins.length,
    correct,
    ties: margins.filter((margin) => margin === 0).length,
    accuracy: correct / margins.length,
    accuracyCi95: wilsonInterval(correct, margins.length),
  };
}

type Part = Pick<WeightedAccuracy, 'accuracy' | 'effectiveItems'>;

/** The leaderboard's score, and the plain mean of the four sections. */
export function overallAccuracy(
  sections: Partial<Record<Section, Part>>,
  prior: Part | null,
): Pick<BenchmarkAccuracies, 'overall' | 'meanOfSections'> {
  const four = sectionNames.map((name) => ({ name: name as string, weight: 2, part: sections[name] }));
  const plain = weightedAccuracy(four);
  return {
    overall: weightedAccuracy([...four, { name: 'Prior Sets', weight: 1, part: prior ?? undefined }]),
    meanOfSections: plain && plain.missing.length === 0 ? plain : null,
  };
}

/** Weighted mean of the parts that are there; null where none is. The interval is Wilson's for the effective items. */
function weightedAccuracy(
  parts: readonly { name: string; weight: number; part: Part | undefined }[],
): WeightedAccuracy | null {
  const present = parts.flatMap(({ weight, part }) => (part ? [{ weight, ...part }] : []));
  if (present.length === 0) return null;
  const total = present.reduce((sum, { weight }) => sum + weight, 0);
  const accuracy = present.reduce((sum, part) => sum + (part.weight / total) * part.accuracy, 0);
  const spread = present.reduce((sum, part) => sum + (part.weight / total) ** 2 / part.effectiveItems, 0);
  return {
    accuracy,
    accuracyCi95: wilsonInterval(accuracy / spread, 1 / spread),
    effectiveItems: 1 / spread,
    missing: parts.filter(({ part }) => !part).map(({ name }) => name),
  };
}
