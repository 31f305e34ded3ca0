import {
  counted,
  pairsOf,
  standardDeviation,
  type Comparison,
  type JudgeReport,
  type RiskReport,
} from '@surefoot/risk';
import { shortened, type Drawing } from './drawing';
import { symbolLegend, type Figure } from './figure';
import { measureName, reportFormats, runName, type MethodSeries } from './method-series';
import { extent, fixed, interval, numberFormat, type NumberFormat } from './numbers';

const square = { height: 320, marginRight: 16, marginBottom: 40 };

/** Final judge score against final gold value of every run that has both. */
export function judgeAgainstGoldChart(
  { Plot, draw }: Drawing,
  report: RiskReport,
  methods: readonly MethodSeries[],
): Figure[] {
  const { judgeAgainstGold, byJudge } = report;
  if (!judgeAgainstGold) return [];
  const finals = methods.flatMap(({ outcomes }) =>
    outcomes.flatMap(({ run }) => (run.status === 'completed' ? [run.final] : [])),
  );
  const [gold, judge] = (['gold', 'judge'] as const).map((measure) =>
    numberFormat([standardDeviation(finals.flatMap((final) => final[measure] ?? []))]),
  ) as [NumberFormat, NumberFormat];
  const correlation = `Pearson ${fixed(judgeAgainstGold.pearson)} ${interval(judgeAgainstGold.pearsonCi95)}, Spearman ${fixed(judgeAgainstGold.spearman)}`;
  const picture = draw(`Judge score against gold value over ${counted(judgeAgainstGold.n, 'run')}: ${correlation}.`, {
    ...square,
    x: { label: 'final gold value', grid: true, nice: true, ticks: 6 },
    y: { label: 'final judge score', grid: true, nice: true, ticks: 6 },
    marks: methods.map(({ style, outcomes }) =>
      Plot.dot(
        outcomes.flatMap(({ run }) =>
          run.status === 'completed'
            ? [
                {
                  ...run.final,
                  words: `${runName(run)}: gold ${gold.fixed(run.final.gold)}, judge ${judge.fixed(run.final.judge)}`,
                },
              ]
            : [],
        ),
        { x: 'gold', y: 'judge', r: 4, symbol: style.symbol, fill: style.color, fillOpacity: 0.8, title: 'words' },
      ),
    ),
  });
  return [
    {
      title: 'Judge against gold',
      picture,
      caption: `Each mark is a run's final policy, scored by the judge as well. ${correlation}. The closer the marks lie to a rising line, the better the judge ranks runs.${byJudge ? trustInJudge(byJudge) : ''}`,
      legend: methods.map(symbolLegend),
    },
  ];
}

/** Whether the judge calls the same runs worse, and what it would have said of the methods. */
function trustInJudge({ worse, comparisons }: JudgeReport): string {
  const { both, goldOnly, judgeOnly, neither } = worse;
  const runs = both + goldOnly + judgeOnly + neither;
  const verdicts = comparisons.map(
    ({ a, b, varianceRatio, verdict }) =>
      ` By the judge alone, ${b} against ${a}: ${verdict}, variance ratio ${ratioText(varianceRatio)}.`,
  );
  return ` Worse than they began are ${both + goldOnly} of ${counted(runs, 'run')} by gold and ${both + judgeOnly} by the judge, ${both} of them the same.${verdicts.join('')}`;
}

function ratioText({ value, ci95 }: Comparison['varianceRatio']): string {
  const { fixed: format } = numberFormat([value, ci95 && ci95[0]]);
  return `${format(value)} ${interval(ci95, format)}`.trim();
}

/** Gain of b against gain of a over the pairs of one comparison. */
export function pairsChart(
  { Plot, draw }: Drawing,
  report: RiskReport,
  comparison: Comparison,
  methods: readonly MethodSeries[],
): Figure[] {
  const [a, b] = [comparison.a, comparison.b].map((name) => methods.find((method) => method.name === name)) as [
    MethodSeries,
    MethodSeries,
  ];
  const points = pairsOf(a.outcomes, b.outcomes).flatMap(([own, other]) =>
    own.completed && other.completed ? [{ a: own.completed.gain, b: other.completed.gain, run: own.run }] : [],
  );
  if (points.length === 0) return [];
  const { signed } = reportFormats(report).value;
  // The lines of no gain are always within the picture.
  const domain = extent([0, ...points.flatMap((point) => [point.a, point.b])]);
  const above = points.filter((point) => point.b > point.a).length;
  const picture = draw(
    `${above} of ${counted(points.length, 'pair')} gained more with ${b.name} than with ${a.name}.`,
    {
      ...square,
      x: { label: `gain with ${shortened(a.name)}`, domain, grid: true, nice: true, ticks: 6 },
      y: { label: `gain with ${shortened(b.name)}`, domain, grid: true, nice: true, ticks: 6 },
      marks: [
        Plot.link([domain], { x1: '0', y1: '0', x2: '1', y2: '1', stroke: 'currentColor', strokeOpacity: 0.6 }),
        Plot.ruleX([0], { stroke: 'currentColor', strokeDasharray: '3 3' }),
        Plot.ruleY([0], { stroke: 'currentColor', strokeDasharray: '3 3' }),
        Plot.dot(points, {
          ...{ x: 'a', y: 'b', r: 4, symbol: b.style.symbol, fill: b.style.color, fillOpacity: 0.8 },
          title: ({ run: { block, run, seed }, ...gains }) =>
            `${block}, run ${run} (seed ${seed}): ${signed(gains.a)} with ${a.name}, ${signed(gains.b)} with ${b.name}`,
        }),
      ],
    },
  );
  const { mean, ci95 } = comparison.pairedGain;
  return [
    {
      title: `${b.name} against ${a.name}, pair by pair`,
      picture,
      caption: `Each mark is a pair of runs of one data set and number, as a rule with one reward model and seed. Above the diagonal ${b.name} gained more (${above} of ${points.length}; mean difference ${signed(mean)} ${interval(ci95, signed)} in ${measureName(report)}). ${endedWorseText(points, a.name, b.name)}`,
    },
  ];
}

/** How many pairs lie where the dashed lines tell them apart. */
function endedWorseText(points: readonly { a: number; b: number }[], a: string, b: string): string {
  const onlyA = points.filter((point) => point.a < 0 && point.b >= 0).length;
  const onlyB = points.filter((point) => point.b < 0 && point.a >= 0).length;
  const both = points.filter((point) => point.a < 0 && point.b < 0).length;
  if (onlyA + onlyB + both === 0)
    return 'The dashed lines are gains of 0: no run of these pairs ended worse than it began.';
  return `The dashed lines are gains of 0: ${onlyA} of ${counted(points.length, 'pair')} ended worse than they began with ${a} alone (above on the left), ${onlyB} with ${b} alone (below on the right), ${both} with both (below on the left).`;
}
