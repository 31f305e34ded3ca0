import type { Comparison, Interval, RiskReport, RunRecord } from '@surefoot/risk';
import { html, type SafeHtml } from './html';
import { measureName, reportFormats, type MethodSeries } from './method-series';
import { fixed, interval, numberFormat, percent, pValue } from './numbers';

interface Table<Row> {
  caption: string;
  rows: readonly Row[];
  /** The first is the row's header. */
  columns: readonly {
    header: string;
    cell: (row: Row) => string | number | SafeHtml;
    /** What the rows are sorted by, where it is not what the cell says; null goes last. */
    value?: (row: Row) => number | null | undefined;
  }[];
}

/** A table that scrolls sideways within itself where the screen is narrow; the page's script makes it sortable. */
export function table<Row>({ caption, rows, columns }: Table<Row>): SafeHtml {
  const [head, ...rest] = columns as [Table<Row>['columns'][number], ...Table<Row>['columns'][number][]];
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <caption>
        <span>${caption}</span>
      </caption>
      <thead>
        <tr>
          ${columns.map(({ header }) => html`<th scope="col">${header}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              <th scope="row" ${sortKey(head, row)}>${head.cell(row)}</th>
              ${rest.map((column) => html`<td${sortKey(column, row)}>${column.cell(row)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div> `;
}

function sortKey<Row>({ value }: Table<Row>['columns'][number], row: Row): SafeHtml | false {
  return value !== undefined && html` data-value="${value(row)}"`;
}

/** What the runs of each method came to. */
export function methodTable(report: RiskReport): SafeHtml {
  const formats = reportFormats(report);
  const { fixed: value, signed } = formats.value;
  return table({
    caption: `Methods: gains in ${measureName(report)}, with 95 % intervals in brackets`,
    rows: Object.entries(report.methods),
    columns: [
      { header: 'method', cell: ([name]) => name },
      { header: 'runs', cell: ([, { n }]) => n },
      { header: 'failed', cell: ([, { failed }]) => failed },
      {
        header: 'mean gain',
        value: ([, { gain }]) => gain.mean,
        cell: ([, { gain }]) => withInterval(signed(gain.mean), gain.ci95, signed),
      },
      {
        header: 'sd of gains',
        value: ([, { gain }]) => gain.sd,
        cell: ([, { gain }]) => withInterval(value(gain.sd), gain.sdCi95, value),
      },
      { header: 'median', value: ([, { gain }]) => gain.median, cell: ([, { gain }]) => signed(gain.median) },
      { header: 'worst', value: ([, { gain }]) => gain.min, cell: ([, { gain }]) => signed(gain.min) },
      { header: 'best', value: ([, { gain }]) => gain.max, cell: ([, { gain }]) => signed(gain.max) },
      {
        header: 'mean of worst tenth',
        value: ([, { gain }]) => gain.cvar10,
        cell: ([, { gain }]) => signed(gain.cvar10),
      },
      {
        header: 'ended worse',
        value: ([, { worse }]) => worse.p,
        cell: ([, { worse }]) => withInterval(`${worse.count} of ${worse.n}`, worse.ci95, percent),
      },
      { header: 'peak', value: ([, { peak }]) => peak.mean, cell: ([, { peak }]) => value(peak.mean) },
      {
        header: 'drop from peak',
        value: ([, { dropFromPeak }]) => dropFromPeak.mean,
        cell: ([, { dropFromPeak }]) => value(dropFromPeak.mean),
      },
      { header: 'final KL (nats)', value: ([, { kl }]) => kl.mean, cell: ([, { kl }]) => formats.kl.fixed(kl.mean) },
    ],
  });
}

/** What the runs of each method came to on each data set; nothing where there is one. */
export function blockTable(report: RiskReport): SafeHtml | false {
  const rows = Object.entries(report.methods).flatMap(([method, { blocks }]) =>
    blocks.map((block) => ({ method, ...block })),
  );
  if (new Set(rows.map(({ block }) => block)).size < 2) return false;
  const { fixed: value, signed } = reportFormats(report).value;
  return table<(typeof rows)[number]>({
    caption: `Data sets: gains in ${measureName(report)} of the runs on each; runs of one data set have much in common, so that few data sets tell less than many runs`,
    rows,
    columns: [
      { header: 'method and data set', cell: ({ method, block }) => `${method}, ${block}` },
      { header: 'runs', cell: ({ n }) => n },
      { header: 'mean gain', value: ({ gain }) => gain.mean, cell: ({ gain }) => signed(gain.mean) },
      { header: 'sd of gains', value: ({ gain }) => gain.sd, cell: ({ gain }) => value(gain.sd) },
      {
        header: 'ended worse',
        value: ({ worse }) => worse.count / worse.n,
        cell: ({ worse }) => `${worse.count} of ${worse.n}`,
      },
    ],
  });
}

/** Whether the methods differ by chance alone. */
const testColumns: Table<Comparison>['columns'] = [
  {
    header: 'Pitman–Morgan p',
    value: ({ pitmanMorganP }) => pitmanMorganP,
    cell: ({ pitmanMorganP }) => pValue(pitmanMorganP),
  },
  {
    header: 'Brown–Forsythe (unpaired)',
    value: ({ brownForsythe }) => brownForsythe.p,
    cell: ({ brownForsythe: { F, p } }) => `F ${fixed(F)}, p ${pValue(p)}`,
  },
  {
    header: 'worse: only a, only b, McNemar p',
    value: ({ worse }) => worse.mcnemar.p,
    cell: ({ worse: { mcnemar } }) => `${mcnemar.aOnly}, ${mcnemar.bOnly}, ${pValue(mcnemar.p)}`,
  },
  {
    header: 'worse: Fisher p (unpaired)',
    value: ({ worse }) => worse.fisherP,
    cell: ({ worse }) => pValue(worse.fisherP),
  },
];

/** Every other method against the first. */
export function comparisonTable(report: RiskReport): SafeHtml {
  const { comparisons } = report;
  const { signed } = reportFormats(report).value;
  const { fixed: ratio } = numberFormat(
    comparisons.flatMap(({ varianceRatio: { value, ci95 } }) => [value, ci95 && ci95[0]]),
  );
  return table<Comparison>({
    caption: 'Comparisons of each method (b) with the first (a); unpaired tests are named so',
    rows: comparisons,
    columns: [
      { header: 'b against a', cell: ({ a, b }) => `${b} against ${a}` },
      { header: 'verdict', cell: ({ verdict }) => verdict },
      { header: 'pairs', cell: ({ pairs }) => pairs },
      {
        header: 'paired gain',
        value: ({ pairedGain }) => pairedGain.mean,
        cell: ({ pairedGain }) => withInterval(signed(pairedGain.mean), pairedGain.ci95, signed),
      },
      {
        header: 'paired gain over data sets',
        value: ({ pairedGain: { overBlocks } }) => overBlocks?.mean,
        cell: ({ pairedGain: { overBlocks } }) =>
          withInterval(signed(overBlocks?.mean), overBlocks && overBlocks.ci95, signed),
      },
      {
        header: 'variance ratio a / b',
        value: ({ varianceRatio }) => varianceRatio.value,
        cell: ({ varianceRatio }) => withInterval(ratio(varianceRatio.value), varianceRatio.ci95, ratio),
      },
      ...testColumns,
      { header: 'KL matched', cell: ({ klMatched }) => (klMatched ? 'yes' : 'no') },
    ],
  });
}

/** Every run with its seed. */
export function runTable(report: RiskReport, runs: readonly RunRecord[], methods: readonly MethodSeries[]): SafeHtml {
  const formats = reportFormats(report);
  const gains = new Map(
    methods.flatMap(({ outcomes }) => outcomes.map(({ run, completed }) => [run, completed?.gain] as const)),
  );
  return table({
    caption: `Runs: gain in ${measureName(report)}`,
    rows: runs.toSorted((a, b) => a.index - b.index),
    columns: [
      {
        header: 'run',
        value: ({ index }) => index,
        cell: ({ method, block, run }) => `${method}, ${block}, run ${run}`,
      },
      { header: 'member', cell: ({ member }) => member ?? '–' },
      { header: 'seed', cell: ({ seed }) => seed },
      { header: 'status', cell: ({ status }) => status },
      { header: 'iterations', cell: ({ iterations }) => iterations },
      { header: 'gain', value: (run) => gains.get(run), cell: (run) => formats.value.signed(gains.get(run)) },
      {
        header: 'final KL (nats)',
        value: (run) => (run.status === 'completed' ? run.final.kl : null),
        cell: (run) => formats.kl.fixed(run.status === 'completed' ? run.final.kl : null),
      },
      { header: 'seconds', value: ({ seconds }) => seconds, cell: ({ seconds }) => fixed(seconds, 1) },
    ],
  });
}

function withInterval(value: string, ends: Interval | null, format: (value: number) => string): SafeHtml {
  return html`${value} <small>${interval(ends, format)}</small>`;
}
