export { disagreementFigures, type SvgFile } from './disagreement-figures';
export { renderReport, type ReportContent } from './render-report';
export { readRuns, writeReport } from './write-report';
export type { DisagreementScores } from './disagreement-charts';
export type { RunSamples } from './samples';
