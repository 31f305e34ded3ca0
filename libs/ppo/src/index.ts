export { createLearner, disposeLearner, type Learner } from './learner';
export { learnerState, restoreLearner, type LearnerState } from './learner-state';
export type { PpoDiagnostics } from './metrics';
export { ppoDefaults, resolvePpoConfig, type PpoConfig, type PpoMode } from './ppo-config';
export { regularise, scoreSource, type NormalisedScores, type RegularisedReward } from './regularisers';
export { prepareRollouts, type PreparedBatch, type Rollout } from './rollout';
export { ppoUpdate } from './update';
