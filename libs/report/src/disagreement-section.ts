import { disagreementCharts, type DisagreementScores } from './disagreement-charts';
import { disagreementTexts } from './disagreement-texts';
import { createDrawing, type Drawing } from './drawing';
import { figureGrid } from './figure';
import { html } from './html';
import { page, type Section } from './page';

/** How far the members are apart: figures, and the texts on which they are farthest apart and least. */
export function disagreementSections(
  drawing: Drawing,
  disagreement: DisagreementScores,
  options: { id?: string } = {},
): Section[] {
  const { members, ranges, against, distance, correlation } = disagreementCharts(drawing, disagreement, options);
  const figures = [...members, ...(against.length > 0 ? against : ranges), ...distance, ...correlation];
  if (figures.length === 0) return [];
  return [
    {
      heading: 'How much the reward models disagree',
      introduction: `Models fitted to the same preferences, different in nothing but their seed. ${unitOf(disagreement)} A member that rates all responses to one prompt higher than others do counts as disagreeing here, though no choice between those responses depends on it.`,
      body: html`${figureGrid(figures)} ${disagreementTexts(disagreement)}`,
    },
  ];
}

function unitOf({ calibrated }: DisagreementScores): string {
  if (calibrated === undefined)
    return 'Where the ensemble is calibrated, scores are in standard deviations of each model.';
  return calibrated
    ? 'Scores are in standard deviations of each model.'
    : 'The ensemble is not calibrated: scores are as each model gives them, and a model of a wider scale makes ranges wider.';
}

/**
 * The page of `reward disagree`.
 *
 * @param options.title what scored, such as `name@version`
 * @param options.id as of `disagreementFigures`
 */
export async function renderDisagreement(options: {
  title: string;
  disagreement: DisagreementScores;
  id?: string;
}): Promise<string> {
  const { title, disagreement, id } = options;
  return page({
    kind: 'disagreement',
    title,
    sections: disagreementSections(await createDrawing(), disagreement, { id }),
    footer: 'Made by Surefoot; the numbers are in disagreement.json.',
  });
}
