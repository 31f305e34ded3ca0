import { disagreementCharts, type DisagreementScores } from './disagreement-charts';
import { disagreementTexts } from './disagreement-texts';
import type { Drawing } from './drawing';
import { figureGrid } from './figure';
import { html } from './html';
import type { Section } from './page';

/** How far the members are apart: figures, and the texts on which they are farthest apart and least. */
export function disagreementSections(drawing: Drawing, disagreement: DisagreementScores): Section[] {
  const { members, ranges, against, distance, correlation } = disagreementCharts(drawing, disagreement);
  const figures = [...members, ...(against.length > 0 ? against : ranges), ...distance, ...correlation];
  if (figures.length === 0) return [];
  return [
    {
      heading: 'How much the reward models disagree',
      introduction:
        'Models fitted to the same preferences, different in nothing but their seed. Scores are standard deviations of each model.',
      body: html`${figureGrid(figures)} ${disagreementTexts(disagreement)}`,
    },
  ];
}
