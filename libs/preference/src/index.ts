export { bradleyTerryLoss, preferenceProbability } from './bradley-terry';
export { builtinGold, builtinTask, parseGold, taskItems, type BuiltinTask } from './builtin-task';
export { drawPreference, drawSentence, taskPrompt, taskPrompts, type TaskResponse } from './draw-task';
export { goldScore } from './gold-score';
export {
  expectedCalibrationError,
  heldOutReport,
  longerWins,
  wilsonInterval,
  type Accuracy,
  type HeldOutReport,
} from './held-out-report';
export { type PreferencePair } from './preference-pair';
export { type ChatMessage, type Prompt } from './prompt';
export { type ColumnLayout } from './column-layout';
export { parseColumns, type Columns } from './columns';
export { readPrompts, readRollouts, type PromptRow, type RolloutLine, type RolloutRow } from './read';
export { scorableText } from './scorable-text';
export { readPairs, type InvalidRow, type PairFile, type ReadPairsOptions, type RowPlace } from './read-pairs';
export { readBenchmark, type BenchmarkAnswer, type BenchmarkItem } from './rewardbench/benchmark-item';
export {
  benchmarkReport,
  meanScores,
  memberScores,
  type BenchmarkReport,
  type ScoredItem,
  type ScorerReport,
} from './rewardbench/benchmark-report';
export { leaderboardFiles, type LeaderboardFile } from './rewardbench/leaderboard-files';
