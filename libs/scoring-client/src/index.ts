export { createScoringPool, type ScoringCounters, type ScoringPool, type ScoringPoolOptions } from './pool';
export type { EnsembleScore, JudgeScore, ScoreByKind, ScorerDescription } from './scorer-kind';
