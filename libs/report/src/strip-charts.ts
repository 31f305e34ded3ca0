import { counted, mean, standardDeviation, type Outcome, type RiskReport } from '@surefoot/risk';
import { rowLabel, type Drawing } from './drawing';
import type { Figure } from './figure';
import { measureName, reportFormats, runWords, type MethodSeries, type ReportFormats } from './method-series';
import { type NumberFormat } from './numbers';

const rowHeight = 92;

/** The gains of all runs, a row a method. */
export function gainChart(drawing: Drawing, report: RiskReport, methods: readonly MethodSeries[]): Figure[] {
  const formats = reportFormats(report);
  const hasLosses = methods.some(({ outcomes }) => outcomes.some(({ completed }) => completed && completed.gain < 0));
  return stripChart(drawing, methods, {
    title: 'Final gains',
    axis: `gain in ${measureName(report)}`,
    formats,
    format: formats.value,
    centre: 'signed',
    reference: 0,
    valueOf: ({ gain }) => gain,
    caption: `Each mark is a run: how much better its final policy is than its start. The line is the mean, the bar reaches one standard deviation to each side, so a shorter bar is a steadier method. ${hasLosses ? 'Marks left of the dashed 0 ended worse than they began.' : 'No mark lies left of the dashed 0: none ended worse than it began.'}`,
  });
}

/** The final KL of all runs, a row a method. */
export function finalKlChart(drawing: Drawing, report: RiskReport, methods: readonly MethodSeries[]): Figure[] {
  const formats = reportFormats(report);
  return stripChart(drawing, methods, {
    title: 'Final KL',
    axis: 'KL to the start policy (nats)',
    formats,
    format: formats.kl,
    centre: 'fixed',
    valueOf: ({ kl }) => kl,
    caption:
      'Each mark is a run: how far its final policy is from its start. The line is the mean, the bar one standard deviation to each side. The means must match within 15 % for the methods to be comparable.',
  });
}

interface Strip {
  title: string;
  /** Name of the quantity, with its unit. */
  axis: string;
  /** Of all quantities, for the words of a mark. */
  formats: ReportFormats;
  /** Of this quantity. */
  format: NumberFormat;
  /** Whether means have a sign. */
  centre: keyof NumberFormat;
  /** A value to mark by a dashed line. */
  reference?: number;
  valueOf: (completed: NonNullable<Outcome['completed']>) => number;
  caption: string;
}

function stripChart({ Plot, draw }: Drawing, methods: readonly MethodSeries[], strip: Strip): Figure[] {
  const rows = methods
    .map(({ name, style, outcomes }) => ({
      name,
      style,
      points: outcomes.flatMap((outcome) =>
        outcome.completed ? [{ value: strip.valueOf(outcome.completed), words: runWords(outcome, strip.formats) }] : [],
      ),
    }))
    .map((row) => ({ ...row, values: row.points.map(({ value }) => value) }))
    .filter(({ values }) => values.length > 0)
    .map((row) => ({ ...row, mean: mean(row.values), sd: standardDeviation(row.values) }));
  if (rows.length === 0) return [];
  const words = rows.map((row) => `${row.name} ${spread(row, strip)} over ${counted(row.values.length, 'run')}`);
  const picture = draw(`${strip.title}: ${words.join('; ')}.`, {
    height: rows.length * rowHeight + 44,
    marginTop: 4,
    marginLeft: 20,
    marginRight: 20,
    x: { label: strip.axis, grid: true, nice: true, ticks: 6 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: rows.map(({ name }) => name), axis: null, padding: 0.08 },
    marks: [
      ...(strip.reference === undefined
        ? []
        : [Plot.ruleX([strip.reference], { stroke: 'currentColor', strokeDasharray: '3 3' })]),
      ...rows.flatMap((row) => stripMarks(Plot, row, strip)),
    ],
  });
  return [{ title: strip.title, picture, caption: strip.caption }];
}

interface StripRow extends Pick<MethodSeries, 'name' | 'style'> {
  values: number[];
  points: { value: number; words: string }[];
  mean: number;
  /** NaN for one run. */
  sd: number;
}

function stripMarks(Plot: Drawing['Plot'], row: StripRow, strip: Strip) {
  const { name, style, points, mean: centre, sd } = row;
  const half = Number.isNaN(sd) ? 0 : sd;
  const fy = () => name;
  return [
    rowLabel(Plot, name, `${name}: ${spread(row, strip)}`),
    Plot.rect([name], {
      fy,
      x1: centre - half,
      x2: centre + half,
      y1: 0.04,
      y2: 0.12,
      fill: style.color,
      fillOpacity: 0.5,
    }),
    Plot.ruleX([centre], { fy, y1: 0, y2: 0.76, stroke: style.color, strokeWidth: 2 }),
    Plot.dot(
      points,
      Plot.dodgeY('middle', {
        fy,
        x: 'value',
        title: 'words',
        r: 3.5,
        symbol: style.symbol,
        fill: style.color,
        fillOpacity: 0.8,
        stroke: 'var(--paper)',
        strokeWidth: 0.5,
      }),
    ),
  ];
}

function spread({ mean: own, sd }: StripRow, { format, centre }: Strip): string {
  return `mean ${format[centre](own)}${Number.isNaN(sd) ? '' : `, sd ${format.fixed(sd)}`}`;
}
