import type { RiskReport, RunRecord } from '@surefoot/risk';
import { disagreementCharts, type DisagreementScores } from './disagreement-charts';
import { createDrawing, type Drawing } from './drawing';
import { figureGrid, type Figure } from './figure';
import { html, trusted, type SafeHtml } from './html';
import { methodSeries, type MethodSeries } from './method-series';
import { overview } from './overview';
import { samplesMarkup, type RunSamples } from './samples';
import { judgeAgainstGoldChart, pairsChart } from './scatter-charts';
import { finalKlChart, gainChart } from './strip-charts';
import { pageStyle } from './style';
import { comparisonTable, methodTable, runTable } from './tables';
import { klChart, trajectoryCharts } from './trajectory-charts';
import { worseChart } from './worse-chart';

/** Everything that a report can show; a section without content is left out. */
export interface ReportContent {
  /** Name of the experiment. */
  title: string;
  report: RiskReport;
  /** The runs that `report` was made of. */
  runs: readonly RunRecord[];
  /** The members' scores on the same texts. */
  disagreement?: DisagreementScores;
  /** Responses before and after, of the best and the worst run say. */
  samples?: readonly RunSamples[];
  /** The experiment as resolved: text such as YAML, shown as it is, or a value, shown as JSON. */
  config?: unknown;
}

/** The report as one HTML page that needs neither network nor script. */
export async function renderReport(content: ReportContent): Promise<string> {
  const drawing = await createDrawing();
  const methods = methodSeries(content.report, content.runs);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${content.title} – Surefoot report</title>
        <style>
          ${trusted(pageStyle)}
        </style>
      </head>
      <body>
        <div class="page">
          <header>
            <p class="eyebrow">Surefoot report</p>
            <h1>${content.title}</h1>
          </header>
          <main>
            ${overview(content.report, methods)} ${figureSections(drawing, content, methods)}
            ${textSections(content, methods)}
          </main>
          <footer>
            <p>Made by Surefoot from runs.jsonl; every figure of the experiment can be recomputed from that file.</p>
          </footer>
        </div>
      </body>
    </html> `.markup;
}

function figureSections(drawing: Drawing, content: ReportContent, methods: readonly MethodSeries[]): SafeHtml {
  const { report, disagreement } = content;
  const apart = disagreement && disagreementCharts(drawing, disagreement);
  const sections: [heading: string, introduction: string, figures: Figure[]][] = [
    [
      'From start to end',
      'What the training batches were worth, iteration by iteration, all on one scale. A thin line is a run, the thick line the median, the band the middle half. Lines that rise and then fall are runs that learned the noise of their reward.',
      trajectoryCharts(drawing, report, methods),
    ],
    [
      'Where the runs ended',
      'Start and final policy answer the same prompts with the same sampling seeds.',
      [
        ...gainChart(drawing, report, methods),
        ...worseChart(drawing, report, methods),
        ...report.comparisons.flatMap((comparison) => pairsChart(drawing, report, comparison, methods)),
        ...judgeAgainstGoldChart(drawing, report, methods),
      ],
    ],
    [
      'How far the policies moved',
      'A method that moves less risks less, so methods are compared at a matched KL.',
      [...klChart(drawing, methods), ...finalKlChart(drawing, methods)],
    ],
    [
      'How much the reward models disagree',
      'Models fitted to the same preferences, different in nothing but their seed.',
      apart ? [...apart.members, ...apart.ranges] : [],
    ],
  ];
  const filled = sections.filter(([, , figures]) => figures.length > 0);
  return html`${filled.map(([heading, introduction, figures]) => section(heading, introduction, figureGrid(figures)))}`;
}

function textSections(
  { report, runs, samples = [], config }: ReportContent,
  methods: readonly MethodSeries[],
): SafeHtml {
  const tables = html`${methodTable(report)}${report.comparisons.length > 0 && comparisonTable(report)}
    <details>
      <summary>Every run with its seed</summary>
      ${runTable(report, runs, methods)}
    </details>`;
  const settings = typeof config === 'string' ? config : JSON.stringify(config, null, 2);
  return html`${
    samples.length > 0 &&
    section(
      'Before and after',
      'The same prompts, answered by the start and by the final policy.',
      samplesMarkup(samples),
    )
  }${section('Figures', 'The numbers behind the charts.', tables)}${
    settings && section('Configuration', 'The experiment as it ran.', html`<pre tabindex="0">${settings}</pre>`)
  }`;
}

function section(heading: string, introduction: string, body: SafeHtml): SafeHtml {
  return html`<section>
    <h2>${heading}</h2>
    <p>${introduction}</p>
    ${body}
  </section> `;
}
