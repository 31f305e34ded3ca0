import { banditCharts, type BanditResult } from './bandit-charts';
import { banditBody, simulationText } from './bandit-section';
import { createDrawing } from './drawing';
import { page } from './page';
import { svgFile, type SvgFile } from './svg-file';

/**
 * The figures of `surefoot bandit`, of each case `<name>-arms.svg`, `<name>-policies.svg`, `<name>-gains.svg`; and its page, the
 * section that the report has with these cases.
 *
 * @param results each with at least one mode
 * @param options.kl mean KL of every mode to the reference, nats
 * @param options.draws ensembles that were drawn
 */
export async function banditFigures(
  results: readonly BanditResult[],
  simulation: { kl: number; draws: number },
): Promise<{ page: string; figures: SvgFile[] }> {
  const drawing = await createDrawing();
  const figures = results.flatMap((result) =>
    Object.entries(banditCharts(drawing, result)).map(([part, figure]) =>
      svgFile(`${result.name}-${part}.svg`, figure),
    ),
  );
  const section = {
    heading: 'A world of few responses',
    introduction: `A simulation: possible responses (arms) whose true values are known, and reward models that are wrong about each by a known amount. ${simulationText(simulation)}`,
    body: banditBody(drawing, results),
  };
  return {
    page: page({
      kind: 'bandit',
      title: 'What each mode gains and risks',
      sections: [section],
      footer: 'Made by Surefoot; the numbers are in bandit.json.',
    }),
    figures,
  };
}
