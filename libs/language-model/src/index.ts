export { addGradients } from './add-gradients';
export { createAdapter, disposeAdapter, mergeAdapter, unmergeAdapter } from './adapter';
export { parseAdapterConfig, type AdapterSettings } from './adapter-config';
export { isAdapterFolder, loadAdapter, readAdapter, readAdapterConfig, saveAdapter } from './adapter-folder';
export { adapterOriginNote } from './adapter-origin';
export { gpt2Config, parseModelConfig, type ModelConfig } from './config';
export { convertModel } from './convert-model';
export {
  cloneModel,
  createModel,
  parseInitialisation,
  withRewardHead,
  writeNewModel,
  type Initialisation,
} from './create-model';
export { hiddenStates, logits, rewardScores, rewardsOf } from './decoder';
export { inspectModel, type ModelDescription } from './inspect-model';
export type { HeldWeights, WeightForm } from './load-weights';
export { sequenceLogProbabilities } from './log-probabilities';
export {
  checkpointedBytes,
  gradientBytes,
  momentBytes,
  trainingBytes,
  weightBytes,
  type BatchShape,
} from './memory-estimate';
export { assertTrainable, microBatches, tokensThatFit, trainingPlan } from './memory-room';
export { disposeModel, trainableParameters, type LanguageModel } from './model';
export { parameterCount } from './parameters';
export { assertVocabularyFits, loadModel, readModelConfig, saveModel } from './model-folder';
export { trainNextToken, type TrainNextTokenOptions } from './pretrain';
export { encodePrompt, encodeRollout, lastTokens, type Prompt } from './rollout-tokens';
export { sample } from './sample';
export { lastTokenRows, packSequences, responseRows, type TokenBatch } from './token-batch';
export { mergeModel } from './merge-model';
export { modelGradients } from './model-gradients';
export { tokenLogProbabilities } from './token-log-probabilities';
export { loadTokenizer, type Tokenizer } from './tokenizer';
export { tokenizerFileNames } from './tokenizer-files';
export { digestWeights, weightFiles } from './weight-files';
export { wordTokenizerFiles } from './word-tokenizer';
