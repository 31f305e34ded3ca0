import { createDrawing } from './drawing';
import { rewardBenchCharts, type RewardBenchScores } from './rewardbench-charts';
import { svgFile, type SvgFile } from './svg-file';

/**
 * The figures of `surefoot rewardbench`: `accuracies.svg`, `reliability.svg` and, for more than one member, `coverage.svg`.
 */
export async function rewardBenchFigures(scores: RewardBenchScores): Promise<SvgFile[]> {
  return Object.entries(rewardBenchCharts(await createDrawing(), scores)).flatMap(([name, figures]) =>
    figures.map((figure) => svgFile(`${name}.svg`, figure)),
  );
}
