import type { Drawing } from './drawing';
import { figureGrid } from './figure';
import { html } from './html';
import { fixed, interval, percent } from './numbers';
import type { Section } from './page';
import { rewardBenchCharts, type RewardBenchScores } from './rewardbench-charts';
import { table } from './tables';

/** What the ensemble and each of its members make of RewardBench. */
export function rewardBenchSection(drawing: Drawing, scores: RewardBenchScores): Section {
  const { accuracies, coverage, reliability } = rewardBenchCharts(drawing, scores);
  const { mean, members } = scores;
  const rows = [{ name: 'mean', own: mean }, ...members.map((own, k) => ({ name: `member ${k}`, own }))];
  const share = (value: number | undefined) => (value === undefined ? '–' : `${fixed(100 * value, 1)} %`);
  const numbers = table({
    caption: `RewardBench by member: accuracy over ${mean.items} items, and by section`,
    rows,
    columns: [
      { header: 'reward model', cell: ({ name }) => name },
      {
        header: 'all items',
        value: ({ own }) => own.accuracy,
        cell: ({ own }) => html`${share(own.accuracy)} <small>${interval([...own.accuracyCi95], percent)}</small>`,
      },
      ...Object.keys(mean.sections).map((name) => ({
        header: name,
        value: ({ own }: (typeof rows)[number]) => own.sections[name]?.accuracy,
        cell: ({ own }: (typeof rows)[number]) => share(own.sections[name]?.accuracy),
      })),
      ...(mean.overall
        ? [
            {
              header: 'overall',
              value: ({ own }: (typeof rows)[number]) => own.overall?.accuracy,
              cell: ({ own }: (typeof rows)[number]) => share(own.overall?.accuracy),
            },
          ]
        : []),
      {
        header: 'calibration error',
        value: ({ own }) => own.calibration.ece,
        cell: ({ own }) => fixed(own.calibration.ece, 3),
      },
    ],
  });
  return {
    heading: 'The reward models on RewardBench',
    introduction:
      'How often the ensemble, and each member alone, scores the better answer higher. Where members were fitted to some of these items, which is not checked, it is too good to be true.',
    body: html`${figureGrid([...accuracies, ...coverage, ...reliability])} ${numbers}`,
  };
}
