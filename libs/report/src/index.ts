export { banditFigures } from './bandit-figures';
export { disagreementFigures } from './disagreement-figures';
export { renderReport, type ReportContent } from './render-report';
export { readRuns, writeReport } from './write-report';
export type { DisagreementScores } from './disagreement-charts';
export type { RunSamples } from './samples';
export type { BanditResult } from './bandit-charts';
export type { SvgFile } from './svg-file';
