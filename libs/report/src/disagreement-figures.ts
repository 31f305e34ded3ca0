import { DomainError } from '@surefoot/errors';
import { disagreementCharts, type DisagreementScores } from './disagreement-charts';
import { createDrawing } from './drawing';
import { svgFile, type SvgFile } from './svg-file';

/**
 * The figures of `reward disagree`: `members.svg`, the members' scores on one text before the distribution of all scores, and, where
 * there is enough to draw, `ranges.svg`, the histogram of the ranges, `against.svg`, that of other texts above it, `distance.svg`,
 * ranges by distance, and `correlation.svg`, how alike the members rank.
 *
 * @param options.id the text of members.svg, default the one on which the members are farthest apart
 * @throws DomainError invalid_argument for no text, not_found for an id that is not among them
 */
export async function disagreementFigures(
  disagreement: DisagreementScores,
  { id }: { id?: string } = {},
): Promise<SvgFile[]> {
  if (disagreement.texts.length === 0) throw new DomainError('invalid_argument', 'no text was scored: nothing to draw');
  const charts = disagreementCharts(await createDrawing(), disagreement, { id });
  if (charts.members.length === 0) throw new DomainError('not_found', `no text has the id ${id}`);
  return Object.entries(charts).flatMap(([name, figures]) => figures.map((figure) => svgFile(`${name}.svg`, figure)));
}
