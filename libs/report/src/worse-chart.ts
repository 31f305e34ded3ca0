import { counted, type MethodSummary, type RiskReport } from '@surefoot/risk';
import { rowLabel, type Drawing } from './drawing';
import type { Figure } from './figure';
import type { MethodSeries } from './method-series';
import { percent } from './numbers';

const rowHeight = 62;
const whisker = { stroke: 'currentColor', strokeWidth: 1.75 };
const end = (value: number) => value;

/** The share of runs that ended worse than they began, a bar a method. */
export function worseChart({ Plot, draw }: Drawing, report: RiskReport, methods: readonly MethodSeries[]): Figure[] {
  const rows = methods.map(({ name, style }) => ({
    name,
    style,
    worse: (report.methods[name] as MethodSummary).worse,
  }));
  const words = rows.map(({ name, worse }) => `${name} ${worse.count} of ${counted(worse.n, 'run')}`);
  const picture = draw(`Ended worse than they began: ${words.join('; ')}.`, {
    height: rows.length * rowHeight + 44,
    marginTop: 4,
    marginLeft: 20,
    marginRight: 24,
    x: { label: 'share of runs', domain: [0, 1], tickFormat: percent, grid: true, ticks: 5 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: rows.map(({ name }) => name), axis: null, padding: 0.1 },
    marks: [
      ...rows.flatMap(({ name, style, worse }) => {
        const [low, high] = worse.ci95;
        const fy = () => name;
        return [
          rowLabel(Plot, name, `${name}: ${worse.count} of ${worse.n} (${percent(low)} to ${percent(high)})`),
          Plot.rect([name], {
            fy,
            x1: 0,
            x2: worse.p,
            y1: 0.1,
            y2: 0.58,
            fill: style.color,
            fillOpacity: 0.75,
            title: () =>
              `${name}: ${worse.count} of ${worse.n} ended worse, 95 % interval ${percent(low)} to ${percent(high)}`,
          }),
          Plot.link([name], { fy, x1: low, x2: high, y1: 0.34, y2: 0.34, ...whisker }),
          Plot.link([low, high], { fy, x1: end, x2: end, y1: 0.24, y2: 0.44, ...whisker }),
        ];
      }),
      Plot.ruleX([0]),
    ],
  });
  return [
    {
      title: 'Ended worse than they began',
      picture,
      caption:
        'The bar is the share of runs whose final policy is below its start (failed runs included), the whisker the exact 95 % interval of the probability (Clopper–Pearson). Wide whiskers that overlap show nothing.',
    },
  ];
}
