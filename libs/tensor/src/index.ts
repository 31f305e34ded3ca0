export { createAdamW, type AdamW } from './adamw';
export { attention, cachedAttention, createKeyValueCache, growKeyValueCache, type AttentionOptions } from './attention';
export { currentBackend, openBackend } from './backend';
export { inspectMachine, openPlanned, planAuto } from './choose-backend';
export { gelu, layerNorm, linear, rmsNorm, silu } from './dense';
export { clipByGlobalNorm, pullback, valueAndGradients } from './gradients';
export { heldBytes } from './held-bytes';
export type { KeyValueCache, RotaryAngles } from './kernels';
export {
  backendIdentity,
  computesOnOneProcessor,
  type Backend,
  type BackendName,
  type BackendOptions,
  type KernelBuild,
} from './opened';
export { randomStream, type RandomStream } from './random-stream';
export { rotaryAngles, rotate } from './rotary';
export {
  readSafetensors,
  storedBytes,
  writeSafetensors,
  writeTensors,
  type StoredTensor,
  type TensorSource,
} from './safetensors';
export { openSafetensors, type FileTensor, type SafetensorsFile } from './safetensors-file';
export { warmupThenDecay } from './schedule';
export { maskedMean, maskedVariance, whiten } from './statistics';
export { embedding, entropy, logProbability } from './tokens';
export { isBfloat16 } from './tensorflow/bfloat16';
export { missingInstallTools, type MissingTool } from './tensorflow/install-tools';
export { inspectTensorflow, type TensorflowInspection } from './tensorflow/native-library';
export { float32Of, openWeights, rowsOf, type WeightsFile } from './weights';
export { vocabularyLogProbability } from './vocabulary';
