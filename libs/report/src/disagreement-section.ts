import { disagreementCharts, type DisagreementScores, type EnsembleDisagreement } from './disagreement-charts';
import { disagreementTexts } from './disagreement-texts';
import { createDrawing, type Drawing } from './drawing';
import { figureGrid } from './figure';
import { html, type SafeHtml } from './html';
import { fixed, numberFormat } from './numbers';
import { page, type Section } from './page';
import { table } from './tables';

/**
 * How far the members are apart: figures, a table of all ensembles where there are several, and the texts on which they are farthest
 * apart and least.
 *
 * @param options.blocks how many ensembles the experiment has, default 1
 */
export function disagreementSections(
  drawing: Drawing,
  disagreement: DisagreementScores,
  options: { id?: string; blocks?: number } = {},
): Section[] {
  const { members, ranges, against, distance, correlation } = disagreementCharts(drawing, disagreement, options);
  const figures = [...members, ...(against.length > 0 ? against : ranges), ...distance, ...correlation];
  if (figures.length === 0) return [];
  return [
    {
      heading: 'How much the reward models disagree',
      introduction: `The members of an ensemble on the same texts. Members that Surefoot fitted saw the same preferences and differ in their seed alone; those that were imported, or are served elsewhere, may differ in more. ${unitOf(disagreement)} A member that rates all responses to one prompt higher than others do counts as disagreeing here, though no choice between those responses depends on it.${whichEnsemble(disagreement, options)}`,
      body: html`${figureGrid(figures)} ${ensembleTable(disagreement)} ${disagreementTexts(disagreement)}`,
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

function whichEnsemble({ ensembles = [] }: DisagreementScores, { blocks = 1 }: { blocks?: number }): string {
  const [first, ...others] = ensembles;
  if (first && others.length > 0)
    return ` Figures and texts are those of one ensemble, that of ${first.name}; the table has all.`;
  return blocks > 1 ? ` Of the experiment's ${blocks} ensembles, one was asked.` : '';
}

function ensembleTable({ ensembles = [], name }: DisagreementScores): SafeHtml | false {
  if (ensembles.length < 2) return false;
  const { fixed: range } = numberFormat(ensembles.map(({ medianRange }) => medianRange));
  return table<EnsembleDisagreement>({
    caption: `Every ensemble on ${name ?? 'its texts'}: how far its members are apart, largest less smallest score; the figures above are those of ${ensembles[0]!.name}`,
    rows: ensembles,
    columns: [
      { header: 'data set', cell: (row) => row.name },
      { header: 'members', cell: ({ members }) => members },
      { header: 'texts', cell: ({ texts }) => texts },
      {
        header: 'median range',
        value: ({ medianRange }) => medianRange,
        cell: ({ medianRange }) => range(medianRange),
      },
      {
        header: 'widest range',
        value: ({ widestRange }) => widestRange,
        cell: ({ widestRange }) => range(widestRange),
      },
      {
        header: 'mean correlation between members',
        value: ({ correlation }) => correlation,
        cell: ({ correlation }) => fixed(correlation),
      },
    ],
  });
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
