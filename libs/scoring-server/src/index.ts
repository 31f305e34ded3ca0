export { answerBatch, answerStream, type Answer } from './answer-rollouts';
export type { Scorer, ScorerDescription } from './scorer';
export { serveScorer } from './serve-scorer';
export { scorerSettings } from './settings';
