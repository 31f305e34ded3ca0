import { DomainError } from '@surefoot/errors';
import * as tf from '@tensorflow/tfjs';
import { hiddenStates } from './decoder';
import type { ModelConfig } from './config';
import { scoringBytes } from './memory-estimate';
import { tokensThatFit } from './memory-room';
import type { LanguageModel } from './model';
import { packSequences, responseRows } from './token-batch';
import { tokenLogProbabilities } from './token-log-probabilities';

/** A larger micro-batch is no faster, as its activations leave the processor's caches. */
const microBatchBytes = 2 ** 26;

/**
 * Log-probability of every token given those before it, and the entropy of the distribution it was taken from.
 *
 * @param sequences token ids, none empty
 * @param options.temperature divides the logits, > 0, default 1
 * @param options.microBatch sequences computed at once; default as many as fit in 64 MiB. Results do not depend on it
 * @returns in the order of `sequences`, nats, one number for every id but the first
 * @throws DomainError invalid_argument for an empty or too long sequence, an id outside the vocabulary, or an
 *   option out of range; resource_exhausted if not even one sequence fits in memory
 */
export async function sequenceLogProbabilities(
  model: LanguageModel,
  sequences: Int32Array[],
  { temperature = 1, microBatch }: { temperature?: number; microBatch?: number } = {},
): Promise<{ logProbabilities: Float32Array[]; entropies: Float32Array[] }> {
  checkOptions(temperature, microBatch);
  const logProbabilities: Float32Array[] = sequences.map(() => new Float32Array(0));
  const entropies: Float32Array[] = sequences.map(() => new Float32Array(0));
  for (const group of byLength(sequences, model.config, microBatch)) {
    const batch = packSequences(group.map((index) => sequences[index]!));
    const { rows, targets, offsets } = responseRows(batch, new Int32Array(batch.batch).fill(1));
    if (rows.length === 0) continue;
    const [chosen, spread] = tf.tidy(() => {
      const hidden = hiddenStates(model, batch, rows);
      const tokens = tokenLogProbabilities(model, hidden, targets, { temperature, withEntropy: true });
      return [tokens.logProbability, tokens.entropy!];
    });
    const [chosenData, spreadData] = await Promise.all([chosen.data(), spread.data()]);
    tf.dispose([chosen, spread]);
    group.forEach((index, row) => {
      logProbabilities[index] = chosenData.slice(offsets[row], offsets[row + 1]) as Float32Array;
      entropies[index] = spreadData.slice(offsets[row], offsets[row + 1]) as Float32Array;
    });
  }
  return { logProbabilities, entropies };
}

function checkOptions(temperature: number, microBatch = 1): void {
  if (!(temperature > 0 && temperature < Infinity))
    throw new DomainError('invalid_argument', `temperature is ${temperature}, needs a number above 0`);
  if (!Number.isSafeInteger(microBatch) || microBatch < 1)
    throw new DomainError('invalid_argument', `microBatch is ${microBatch}, needs a whole number of at least 1`);
}

/** Indices of sequences in groups of similar length, so that little is padding. */
function* byLength(sequences: Int32Array[], config: ModelConfig, microBatch?: number): Generator<number[]> {
  const order = sequences.map((_, index) => index).sort((a, b) => sequences[a]!.length - sequences[b]!.length);
  while (order.length > 0) {
    const longest = sequences[order.at(-1)!]!.length;
    const bytes = scoringBytes(config, { sequences: 1, width: longest, outputs: longest });
    const limit = microBatch ?? Math.max(1, Math.floor(microBatchBytes / bytes));
    const tokens = tokensThatFit(config, { longest, limit: limit * longest, purpose: 'scoring' });
    yield order.splice(-Math.floor(tokens / longest));
  }
}
