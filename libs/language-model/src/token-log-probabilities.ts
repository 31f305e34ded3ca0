import { entropy, logProbability, vocabularyLogProbability } from '@surefoot/tensor';
import type * as tf from '@tensorflow/tfjs';
import { logits } from './decoder';
import type { LanguageModel } from './model';
import { modulesOf } from './modules';
import { embeddingTable } from './parameters';
import { largeVocabulary, vocabularyChunk } from './vocabulary-size';

/**
 * Log-probabilities of tokens, and the entropies of the distributions they were taken from.
 *
 * @param hidden  [M, H] after the final norm, of the positions before the tokens
 * @param targets [M] the tokens
 * @param options.temperature divides the logits, > 0
 * @returns `logProbability` [M], nats; `entropy` [M] where it was asked for; both differentiable
 * @throws DomainError failed_precondition if the model has a reward head
 */
export function tokenLogProbabilities(
  model: LanguageModel,
  hidden: tf.Tensor2D,
  targets: Int32Array,
  { temperature, withEntropy }: { temperature: number; withEntropy: boolean },
): { logProbability: tf.Tensor1D; entropy?: tf.Tensor1D } {
  const { config } = model;
  if (config.head === 'causal-lm' && config.vocabularySize > largeVocabulary) {
    const modules = modulesOf(model);
    const name = config.tiedHead ? embeddingTable(config).replace(/\.weight$/, '') : 'lm_head';
    const change = modules.change(name, hidden);
    const options = { temperature, softCap: config.logitSoftCap, chunk: vocabularyChunk, change };
    const both = vocabularyLogProbability(hidden, modules.table(name), targets, options);
    return withEntropy ? both : { logProbability: both.logProbability };
  }
  const scores = logits(model, hidden, temperature);
  return { logProbability: logProbability(scores, targets), ...(withEntropy && { entropy: entropy(scores) }) };
}
