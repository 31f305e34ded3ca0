import { banditCharts, type BanditResult } from './bandit-charts';
import { createDrawing } from './drawing';
import { svgFile, type SvgFile } from './svg-file';

/** The figures of `surefoot bandit`: of each case `<name>-arms.svg`, `<name>-policies.svg`, `<name>-gains.svg`. */
export async function banditFigures(results: readonly BanditResult[]): Promise<SvgFile[]> {
  const drawing = await createDrawing();
  return results.flatMap((result) =>
    Object.entries(banditCharts(drawing, result)).map(([part, figure]) =>
      svgFile(`${result.name}-${part}.svg`, figure),
    ),
  );
}
