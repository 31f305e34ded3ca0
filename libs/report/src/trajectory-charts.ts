import { counted, quantile, type Interval, type MethodSummary, type RiskReport } from '@surefoot/risk';
import type { Drawing } from './drawing';
import { lineLegend, type Figure } from './figure';
import { measureName, reportFormats, runWords, type MethodSeries } from './method-series';
import { extent, type NumberFormat } from './numbers';

/** Where the runs of a method stand at one iteration. */
interface Band {
  iteration: number;
  low: number;
  median: number;
  high: number;
}

/** The runs of a method that have a trajectory. */
interface Trajectories {
  method: MethodSeries;
  /** [runs][iterations] */
  runs: number[][];
  /** What each run came to. */
  words: string[];
}

/** What the charts of all methods share. */
interface Scale {
  /** Value of the start policy. */
  start: number | null;
  /** Of all values. */
  domain: Interval;
}

/** Every run of every method over the iterations, one chart a method, all on one scale. */
export function trajectoryCharts(drawing: Drawing, report: RiskReport, methods: readonly MethodSeries[]): Figure[] {
  const formats = reportFormats(report);
  const all = methods.map((method) => ({
    method,
    runs: trajectoriesOf(method, report.measure),
    words: method.outcomes
      .filter(({ run }) => (run.trajectory[report.measure] ?? []).length > 0)
      .map((outcome) => runWords(outcome, formats)),
  }));
  const start = report.initial.mean;
  const domain = extent([...all.flatMap(({ runs }) => runs.flat()), ...(start === null ? [] : [start])]);
  return all
    .filter(({ runs }) => runs.length > 0)
    .map((trajectories) => trajectoryChart(drawing, report, trajectories, { start, domain }));
}

function trajectoryChart(
  { Plot, draw }: Drawing,
  report: RiskReport,
  trajectories: Trajectories,
  { start, domain }: Scale,
): Figure {
  const { method, runs } = trajectories;
  const { name, style } = method;
  const format = reportFormats(report).value;
  const bands = bandsOf(runs);
  const end = bands.at(-1) as Band;
  const picture = draw(
    `${name}: ${counted(runs.length, 'run')} over ${counted(bands.length, 'iteration')}; the median ends at ${format.fixed(end.median)}, the middle half between ${format.fixed(end.low)} and ${format.fixed(end.high)}.`,
    {
      height: 260,
      marginRight: 38,
      x: iterationAxis(bands.length),
      y: { label: measureName(report), domain, nice: true, grid: true, ticks: 6 },
      marks: [
        runLines(Plot, trajectories, bands),
        // Above the runs: of many lines nobody sees which are the middle half.
        Plot.areaY(bands, {
          ...{ x: 'iteration', y1: 'low', y2: 'high', fill: style.color, fillOpacity: 0.3 },
          ...{ stroke: 'var(--paper)', strokeWidth: 1, pointerEvents: 'none' },
        }),
        ...(start === null ? [] : startMarks(Plot, start)),
        ...['var(--paper)', style.color].map((stroke, i) =>
          Plot.line(bands, {
            ...{ x: 'iteration', y: 'median', stroke, ...lineOf(bands, 5 - 2 * i) },
            pointerEvents: 'none',
          }),
        ),
      ],
    },
  );
  const caption = captionOf(report.methods[name] as MethodSummary, bands, format);
  return { title: name, picture, caption: `${caption}${shorterText(runs)}` };
}

function runLines(Plot: Drawing['Plot'], { method, runs, words }: Trajectories, bands: readonly Band[]) {
  const points = runs.flatMap((run, i) => run.map((value, j) => ({ run: i, iteration: j + 1, value })));
  return Plot.line(points, {
    ...{ x: 'iteration', y: 'value', z: 'run', stroke: method.style.color, strokeOpacity: 0.45 },
    ...lineOf(bands, 0.8),
    title: ({ run }) => words[run],
  });
}

function startMarks(Plot: Drawing['Plot'], start: number) {
  return [
    Plot.ruleY([start], { stroke: 'currentColor', strokeDasharray: '3 3' }),
    Plot.text([start], {
      ...{ y: (value: number) => value, text: () => 'start' },
      ...{ frameAnchor: 'right', textAnchor: 'start', dx: 5 },
    }),
  ];
}

function captionOf(
  { n, failed, worse, dropFromPeak }: MethodSummary,
  bands: readonly Band[],
  { fixed }: NumberFormat,
): string {
  const highest = bands.reduce((best, band) => (band.median > best.median ? band : best));
  return (
    `The median is highest at iteration ${highest.iteration} of ${bands.length}. Runs end ${fixed(dropFromPeak.mean)} below ` +
    `their own peak (5-iteration mean) on average (at most ${fixed(dropFromPeak.max)}), and the final evaluation puts ${worse.count - failed} of ${n - failed} below their start.${failed > 0 ? ` ${failed} failed and have none.` : ''}`
  );
}

/** Whose median and band it is where some runs end before the others. */
function shorterText(runs: readonly number[][]): string {
  const length = Math.max(...runs.map((values) => values.length));
  const shorter = runs.filter((values) => values.length < length).length;
  return shorter > 0
    ? ` ${shorter} of ${runs.length} runs end before iteration ${length}: after that, median and band are those of the others.`
    : '';
}

/** Median and quartiles of the plain KL to the reference over the iterations, all methods in one chart. */
export function klChart({ Plot, draw }: Drawing, report: RiskReport, methods: readonly MethodSeries[]): Figure[] {
  const { fixed } = reportFormats(report).kl;
  const drawn = methods
    .map((method) => ({ method, runs: trajectoriesOf(method, 'kl') }))
    .map(({ method, runs }) => ({ method, runs, bands: bandsOf(runs) }))
    .filter(({ bands }) => bands.length > 0);
  if (drawn.length === 0) return [];
  const ends = drawn.map(({ method, bands }) => `${method.name} ends at ${fixed(bands.at(-1)?.median)} nats`);
  const picture = draw(`Median KL to the reference over the iterations: ${ends.join(', ')}.`, {
    height: 240,
    x: iterationAxis(Math.max(...drawn.map(({ bands }) => bands.length))),
    y: { label: 'KL to the start policy (nats)', grid: true, zero: true, nice: true, ticks: 6 },
    marks: drawn.flatMap(({ method: { style }, bands }) => [
      Plot.areaY(bands, { x: 'iteration', y1: 'low', y2: 'high', fill: style.color, fillOpacity: 0.18 }),
      Plot.line(bands, {
        x: 'iteration',
        y: 'median',
        stroke: style.color,
        ...lineOf(bands, 2.5),
        strokeDasharray: style.dash,
      }),
    ]),
  });
  return [
    {
      title: 'KL over the iterations',
      picture,
      caption: `How far the policies moved from where they started: median and middle half of the runs. Methods compare fairly only where these lie together.${drawn.map(({ method, runs }) => shorterText(runs).replace(' ', ` ${method.name}: `)).join('')}`,
      legend: drawn.map(({ method }) => lineLegend(method)),
    },
  ];
}

/** A line of this width; of one iteration nothing is seen but its ends, which then make a dot. */
function lineOf({ length }: readonly Band[], width: number) {
  return length === 1 ? { strokeWidth: width + 4, strokeLinecap: 'round' as const } : { strokeWidth: width };
}

/** Whole iterations alone, and room on both sides of a single one. */
function iterationAxis(iterations: number) {
  const few = iterations <= 6;
  return {
    label: 'iteration',
    domain: iterations === 1 ? [0.5, 1.5] : [1, iterations],
    ticks: few ? Array.from({ length: iterations }, (_, i) => i + 1) : 6,
    tickFormat: 'd',
  };
}

function trajectoriesOf({ outcomes }: MethodSeries, quantity: 'gold' | 'judge' | 'kl'): number[][] {
  return outcomes.map(({ run }) => run.trajectory[quantity] ?? []).filter((values) => values.length > 0);
}

function bandsOf(runs: readonly number[][]): Band[] {
  const length = Math.max(0, ...runs.map((values) => values.length));
  return Array.from({ length }, (_, i) => {
    const present = runs.flatMap((values) => values[i] ?? []);
    const [low, median, high] = [0.25, 0.5, 0.75].map((level) => quantile(present, level)) as [number, number, number];
    return { iteration: i + 1, low, median, high };
  });
}
