import { groupBy, type RiskReport, type RunRecord } from '@surefoot/risk';
import { banditSection } from './bandit-section';
import type { DisagreementScores } from './disagreement-charts';
import { disagreementSections } from './disagreement-section';
import { createDrawing, type Drawing } from './drawing';
import { figureGrid, type Figure } from './figure';
import { html } from './html';
import { measureName, methodSeries, type MethodSeries } from './method-series';
import { overview } from './overview';
import { page, type Section } from './page';
import type { RewardBenchScores } from './rewardbench-charts';
import { rewardBenchSection } from './rewardbench-section';
import { samplesMarkup, type RunSamples } from './samples';
import { judgeAgainstGoldChart, pairsChart } from './scatter-charts';
import { finalKlChart, gainChart } from './strip-charts';
import { blockTable, comparisonTable, methodTable, runTable } from './tables';
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
  /** What the reward models make of RewardBench. */
  rewardBench?: RewardBenchScores;
  /** Responses before and after, of the best and the worst run say. */
  samples?: readonly RunSamples[];
  /** Where each method pays its KL penalty (`ppo.klPlacement`), as far as it is known. */
  klPlacements?: Readonly<Record<string, string>>;
  /** The experiment as resolved: text such as YAML, shown as it is, or a value, shown as JSON. */
  config?: unknown;
}

/** The report as one HTML page that needs no network, and no script to be read. */
export async function renderReport(content: ReportContent): Promise<string> {
  const drawing = await createDrawing();
  const { report, runs, title, disagreement, rewardBench } = content;
  const methods = methodSeries(report, runs);
  const blocks = new Set(runs.map(({ block }) => block)).size;
  return page({
    kind: 'report',
    title,
    lead: overview(report, methods),
    sections: [
      ...experimentSections(drawing, content, methods),
      ...(disagreement ? disagreementSections(drawing, disagreement, { blocks }) : []),
      ...(rewardBench ? [rewardBenchSection(drawing, rewardBench)] : []),
      banditSection(drawing),
      ...textSections(content, methods),
    ],
    footer: 'Made by Surefoot from runs.jsonl; every figure of the experiment can be recomputed from that file.',
  });
}

function experimentSections(
  drawing: Drawing,
  { report, klPlacements }: ReportContent,
  methods: readonly MethodSeries[],
): Section[] {
  const sections: [heading: string, introduction: string, figures: Figure[]][] = [
    [
      'From start to end',
      'What the training batches were worth, iteration by iteration, all on one scale. A thin line is a run, the thick line the median, the band the middle half. Lines that rise and then fall are runs that may have learned the noise of their reward. The dashed line is the start policy on the evaluation prompts: where these are others than the prompts of training, the lines need not begin at it.',
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
      `A method that moves less risks less, so methods are compared at a matched KL. ${placementText(klPlacements)}`.trim(),
      [...klChart(drawing, report, methods), ...finalKlChart(drawing, report, methods)],
    ],
  ];
  return sections
    .filter(([, , figures]) => figures.length > 0)
    .map(([heading, introduction, figures]) => ({ heading, introduction, body: figureGrid(figures) }));
}

/** Which penalty the methods pay: with another placement a method of the same name is another one. */
function placementText(placements: Readonly<Record<string, string>> = {}): string {
  const byPlacement = groupBy(Object.entries(placements), ([, placement]) => placement);
  if (byPlacement.size === 1)
    return `All pay the KL penalty at the same place (klPlacement: ${[...byPlacement.keys()][0]}).`;
  return [...byPlacement]
    .map(([placement, methods]) => `klPlacement is ${placement} for ${methods.map(([name]) => name).join(', ')}.`)
    .join(' ');
}

function textSections(
  { report, runs, samples = [], config }: ReportContent,
  methods: readonly MethodSeries[],
): Section[] {
  const settings = typeof config === 'string' ? config : JSON.stringify(config, null, 2);
  return [
    ...(samples.length > 0
      ? [
          {
            heading: 'Before and after',
            introduction: `The same prompts, answered by the start and by the final policy, each with its ${measureName(report)}. A run's gain is the mean over all of its responses, not over these few.`,
            body: samplesMarkup(samples, report),
          },
        ]
      : []),
    {
      heading: 'Figures',
      introduction:
        'The numbers behind the charts. A peak is the highest mean of five iterations in a row, over the training batches, and the drop from it the difference to the last five.',
      body: html`${methodTable(report)}${blockTable(report)}${report.comparisons.length > 0 && comparisonTable(report)}
        <details>
          <summary>Every run with its seed</summary>
          ${runTable(report, runs, methods)}
        </details>`,
    },
    ...(settings
      ? [
          {
            heading: 'Configuration',
            introduction: 'The experiment as it ran.',
            body: html`<pre tabindex="0" role="region" aria-label="Configuration">${settings}</pre>`,
          },
        ]
      : []),
  ];
}
