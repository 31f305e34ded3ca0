export { calibrateEnsemble } from './calibrate';
export { disagreement, type Disagreement, type TextDisagreement } from './disagreement';
export { rangesAgainst, type RangesAgainst } from './disagreement-against';
export { nearestDistances, rangeByDistance, type RangeByDistance } from './disagreement-distance';
export { encodeSequence } from './encode-pairs';
export { disposeEnsemble, ensembleSize, loadEnsemble, loadEnsembleTokenizer, type RewardEnsemble } from './ensemble';
export type { MemberRange } from './ensemble-kind';
export { ensembleStatistics, type Calibration, type EnsembleStatistics } from './ensemble-statistics';
export { fitEnsemble, openFit, type EnsembleFit, type FitReport, type MemberReport } from './fit-ensemble';
export { type MemberEvaluation } from './evaluate-member';
export { type FitOptions, type FitProgress } from './fit-settings';
export { judgeSeed } from './judge-seed';
export { type OnWarning } from './load-frozen';
export { headsOnTrunk } from './heads-ensemble';
export { wholeModels, type LoadedMembers } from './loaded-members';
export { importEnsemble, type ImportOptions } from './import-ensemble';
export { fitScoreNormaliser, normaliseScores, type NormalisedScores, type ScoreNormaliser } from './score-normaliser';
export { scoreSequences } from './score-sequences';
export { selectPairs, selectResponses } from './select-for-labels';
export {
  writeBuiltinPairs,
  writeBuiltinTask,
  type BuiltinPairsOptions,
  type BuiltinTaskOptions,
} from './write-builtin-task';
export { builtinConditions, type BuiltinConditions } from './builtin-conditions';
