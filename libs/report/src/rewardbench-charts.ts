import { rowLabel, type Drawing } from './drawing';
import type { Figure } from './figure';
import { fixed, percent } from './numbers';

interface Accuracy {
  accuracy: number;
  accuracyCi95: readonly [number, number];
}

interface Scorer extends Accuracy {
  items: number;
  subsets: Readonly<Record<string, Accuracy & { rowsOfBenchmark: number | null }>>;
  sections: Readonly<Partial<Record<string, Accuracy & { missing: readonly string[] }>>>;
  priorSets: Accuracy | null;
  overall: Accuracy | null;
  calibration: {
    ece: number;
    reliability: readonly (Accuracy & { items: number; confidence: number })[];
  };
}

interface Curve {
  points: readonly { coverage: number; accuracy: number }[];
  area: number;
}

/** What `surefoot rewardbench` measures, as far as it is drawn. */
export interface RewardBenchScores {
  mean: Scorer;
  /** [K] */
  members: readonly Scorer[];
  /** Null for one member. */
  coverage: { byVariance: Curve; byMargin: Curve } | null;
}

/**
 * What an ensemble makes of RewardBench: accuracy by section, accuracy against coverage, and calibration. A chart that there
 * is nothing for is left out.
 */
export function rewardBenchCharts(
  drawing: Drawing,
  scores: RewardBenchScores,
): Record<'accuracies' | 'coverage' | 'reliability', Figure[]> {
  return {
    accuracies: [accuracyChart(drawing, scores)],
    coverage: scores.coverage ? [coverageChart(drawing, scores.mean, scores.coverage)] : [],
    reliability: [reliabilityChart(drawing, scores.mean)],
  };
}

const rowHeight = 54;
const precise = (share: number) => `${fixed(100 * share, 1)} %`;
const whisker = { stroke: 'currentColor', strokeWidth: 1.75 };

/** Rows of the chart: sections, prior sets and overall, then subsets of no benchmark; each with how to find it. */
function accuracyRows({ mean }: RewardBenchScores): { name: string; of: (scorer: Scorer) => Accuracy }[] {
  const named = Object.keys(mean.sections).map((name) => ({ name, of: (own: Scorer) => own.sections[name]! }));
  const prior = mean.priorSets ? [{ name: 'Prior Sets', of: (own: Scorer) => own.priorSets! }] : [];
  const overall = mean.overall ? [{ name: 'Overall', of: (own: Scorer) => own.overall! }] : [];
  const others = Object.keys(mean.subsets)
    .filter((name) => mean.subsets[name]!.rowsOfBenchmark === null)
    .map((name) => ({ name, of: (own: Scorer) => own.subsets[name]! }));
  return [...named, ...prior, ...overall, ...others];
}

function accuracyChart({ Plot, draw }: Drawing, scores: RewardBenchScores): Figure {
  const rows = accuracyRows(scores);
  const words = rows.map(({ name, of }) => `${name} ${percent(of(scores.mean).accuracy)}`);
  const missing = Object.entries(scores.mean.sections).flatMap(([name, section]) =>
    section!.missing.length > 0 ? [name] : [],
  );
  const picture = draw(`Accuracy of the ensemble's mean: ${words.join('; ')}.`, {
    height: rows.length * rowHeight + 44,
    ...{ marginTop: 4, marginLeft: 20, marginRight: 24 },
    x: { label: 'accuracy', domain: [0, 1], tickFormat: percent, grid: true, ticks: 5 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: rows.map(({ name }) => name), axis: null, padding: 0.1 },
    marks: [
      Plot.ruleX([0.5], { stroke: 'currentColor', strokeDasharray: '3 3' }),
      ...rows.flatMap(({ name, of }) => {
        const { accuracy, accuracyCi95 } = of(scores.mean);
        const [low, high] = accuracyCi95;
        const fy = () => name;
        return [
          rowLabel(Plot, name, `${name}: ${percent(accuracy)} (${percent(low)} to ${percent(high)})`),
          Plot.link([name], { fy, x1: low, x2: high, y1: 0.4, y2: 0.4, ...whisker }),
          Plot.dot(scores.members.map(of), {
            ...{ fy, x: 'accuracy', y: 0.1, r: 4, symbol: 'diamond' },
            ...{ fill: 'var(--series-1)', fillOpacity: 0.6 },
            title: (own: Accuracy) =>
              `${name}, member ${scores.members.findIndex((member) => of(member) === own)}: ${precise(own.accuracy)}`,
          }),
          Plot.dot([accuracy], {
            ...{ fy, x: (value: number) => value, y: 0.4, r: 5 },
            ...{ fill: 'currentColor', stroke: 'var(--paper)' },
            title: () => `${name}, mean: ${precise(accuracy)}, 95 % interval ${precise(low)} to ${precise(high)}`,
          }),
        ];
      }),
    ],
  });
  return {
    title: 'RewardBench by section',
    picture,
    caption:
      `The round mark is the mean of the ensemble's calibrated scores with its 95 % interval, the diamonds below it are its ${scores.members.length} members. The dashed line is what guessing gets between two answers, a half; between four it gets a quarter. ${
        missing.length > 0 ? `Of ${missing.join(', ')} only some subsets were there.` : ''
      }`.trim(),
  };
}

function coverageChart(
  { Plot, draw }: Drawing,
  mean: Scorer,
  { byVariance, byMargin }: NonNullable<RewardBenchScores['coverage']>,
): Figure {
  const curves = [
    { name: 'variance', sample: '━━', curve: byVariance, stroke: 'var(--series-0)', strokeDasharray: 'none' },
    { name: 'small margin', sample: '╍╍', curve: byMargin, stroke: 'var(--series-1)', strokeDasharray: '7 3' },
  ];
  const at = { x: 'coverage', y: 'accuracy' };
  const words = curves.map(({ name, curve }) => `by ${name} ${fixed(curve.area, 3)}`);
  const picture = draw(`Accuracy against coverage; mean accuracy over all coverages ${words.join(', ')}.`, {
    height: 300,
    ...{ marginTop: 48, marginLeft: 50, marginRight: 28 },
    x: { label: 'share of items decided', domain: [0, 1], tickFormat: percent, grid: true, ticks: 5 },
    y: { label: 'accuracy of those', tickFormat: percent, grid: true, nice: true, ticks: 6 },
    marks: [
      Plot.ruleY([mean.accuracy], { stroke: 'currentColor', strokeDasharray: '3 3' }),
      ...curves.map(({ curve, stroke, strokeDasharray }) =>
        Plot.line(curve.points, { ...at, stroke, strokeDasharray, strokeWidth: 2.5 }),
      ),
      ...curves.map(({ name, sample, stroke }, i) =>
        Plot.text([`${sample} left out by ${name}`], {
          ...{ frameAnchor: 'top-right', textAnchor: 'end', lineAnchor: 'bottom', dy: 16 * i - 22 },
          ...{ fill: stroke, fontWeight: 600 },
        }),
      ),
      ...curves.map(({ curve, stroke }) =>
        Plot.dot(curve.points, {
          ...{ ...at, r: 2.5, fill: stroke },
          title: ({ coverage, accuracy }) => `${percent(coverage)} decided: ${precise(accuracy)} right`,
        }),
      ),
    ],
  });
  return {
    title: 'Accuracy when the doubtful items are left out',
    picture,
    caption: `Solid: the items on which the members are farthest apart (largest variance of the score difference) are left out first; broken: those of the smallest difference of the mean. A doubt that knows something lifts the line to the left, one that knows nothing stays at the dashed line, the accuracy of all items (${percent(mean.accuracy)}). Mean accuracy over all coverages: ${words.join(', ')}; the points at the left rest on few items.`,
  };
}

function reliabilityChart({ Plot, draw }: Drawing, { calibration, items }: Scorer): Figure {
  const bins = calibration.reliability;
  const picture = draw(
    `Reliability of the mean's probabilities: expected calibration error ${fixed(calibration.ece)}.`,
    {
      height: 320,
      ...{ marginLeft: 50, marginRight: 28 },
      x: { label: 'probability of the predicted winner', domain: [0.5, 1], tickFormat: percent, grid: true, ticks: 6 },
      y: { label: 'how often it is right', domain: [0, 1], tickFormat: percent, grid: true, ticks: 6 },
      marks: [
        Plot.link([0], {
          ...{ x1: 0.5, y1: 0.5, x2: 1, y2: 1 },
          ...{ stroke: 'currentColor', strokeDasharray: '3 3' },
        }),
        Plot.link(bins, {
          x1: 'confidence',
          x2: 'confidence',
          y1: ({ accuracyCi95 }: Accuracy) => accuracyCi95[0],
          y2: ({ accuracyCi95 }: Accuracy) => accuracyCi95[1],
          ...whisker,
        }),
        Plot.line(bins, { x: 'confidence', y: 'accuracy', stroke: 'var(--series-1)', strokeWidth: 2 }),
        Plot.dot(bins, {
          ...{ x: 'confidence', y: 'accuracy', r: 4.5, fill: 'var(--series-1)', stroke: 'var(--paper)' },
          title: ({ confidence, accuracy, items: count }) =>
            `${count} items at ${precise(confidence)}: ${precise(accuracy)} right`,
        }),
      ],
    },
  );
  return {
    title: 'Can its probabilities be believed?',
    picture,
    caption: `The ${items} items in bins of the probability that the mean gives to its winner: how often it was right with a 95 % interval. On the dashed line probabilities are honest; below it the ensemble is too sure of itself. Expected calibration error ${fixed(calibration.ece, 3)}.`,
  };
}
