// Kernels over the heap of TensorFlow.js' wasm backend: no allocation, no static data; every address comes from the host, which
// has checked shapes and ids.

export { gelu, geluGradient, silu, siluGradient } from './activation';
export { adamw } from './adamw';
export { attention, attentionGradient } from './attention';
export { cachedAttention } from './cached-attention';
export { addGatheredRows, gatherRows, scatterRows } from './embedding';
export { entropy, entropyGradient, logProbability, logProbabilityGradient } from './log-probability';
export { matmul } from './matmul';
export { layerNorm, layerNormGradient } from './norm';
export { rmsNorm, rmsNormGradient } from './rms-norm';
export { rotate } from './rotary';
export { addRow, sumOfSquares, sumRows } from './rows';
export { scratchBytes, useScratch } from './scratch';
