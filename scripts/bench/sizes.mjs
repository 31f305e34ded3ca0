// The models that are measured: vocabulary, width, layers, heads, and rows × tokens of a training step.
export const sizes = {
  tiny: { vocabularySize: 100, hiddenSize: 48, layers: 2, heads: 2, rows: 64, tokens: 18 },
  '0.1M': { vocabularySize: 100, hiddenSize: 64, layers: 2, heads: 2, rows: 64, tokens: 18 },
  '1M': { vocabularySize: 512, hiddenSize: 128, layers: 5, heads: 4, rows: 32, tokens: 64 },
  '10M': { vocabularySize: 1024, hiddenSize: 320, layers: 8, heads: 8, rows: 8, tokens: 64 },
};

/** Members of an ensemble. */
export const memberCount = 10;
/** Sequences that are scored at once, and the tokens of each. */
export const scoring = { rows: 32, tokens: 128 };
/** Prompts that are continued at once, their tokens, and the new tokens of each. */
export const sampling = { rows: 64, prompt: 8, response: 18 };
/** As many new tokens as make a cache of keys and values worth its while; without one only every sixteenth is computed. */
export const generation = { rows: 64, prompt: 8, response: 256, sparse: 16 };
/** A PPO iteration: rollouts, tokens of prompt and response, passes over them. */
export const ppo = { rollouts: 64, prompt: 6, response: 12, epochs: 3 };
