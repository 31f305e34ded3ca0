import { entropy, logProbability } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { hiddenStates, logits } from './decoder';
import type { LanguageModel } from './model';
import { packSequences, responseRows } from './token-batch';

/** Logits that one micro-batch may hold by default, 64 MiB of float32. */
const defaultLogits = 2 ** 24;

/**
 * Log-probability of every token given those before it, and the entropy of the distribution it was taken from.
 *
 * @param sequences token ids, none empty
 * @param options.temperature divides the logits, > 0, default 1
 * @param options.microBatch sequences computed at once; default as many as 64 MiB of logits allow. Results do not depend on it
 * @returns in the order of `sequences`, nats, one number for every id but the first
 * @throws DomainError invalid_argument for an empty or too long sequence or an id outside the vocabulary
 */
export async function sequenceLogProbabilities(
  model: LanguageModel,
  sequences: Int32Array[],
  { temperature = 1, microBatch }: { temperature?: number; microBatch?: number } = {},
): Promise<{ logProbabilities: Float32Array[]; entropies: Float32Array[] }> {
  const logProbabilities: Float32Array[] = sequences.map(() => new Float32Array(0));
  const entropies: Float32Array[] = sequences.map(() => new Float32Array(0));
  for (const group of byLength(sequences, model.config.vocabularySize, microBatch)) {
    const batch = packSequences(group.map((index) => sequences[index]!));
    const { rows, targets, offsets } = responseRows(batch, new Int32Array(batch.batch).fill(1));
    if (rows.length === 0) continue;
    const [chosen, spread] = tf.tidy(() => {
      const scores = logits(model, hiddenStates(model, batch, rows), temperature);
      return [logProbability(scores, targets), entropy(scores)];
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

/** Indices of sequences in groups of similar length, so that little is padding. */
function* byLength(sequences: Int32Array[], vocabularySize: number, microBatch?: number): Generator<number[]> {
  const order = sequences.map((_, index) => index).sort((a, b) => sequences[a]!.length - sequences[b]!.length);
  while (order.length > 0) {
    const longest = sequences[order.at(-1)!]!.length;
    const size = microBatch ?? Math.max(1, Math.floor(defaultLogits / (longest * vocabularySize)));
    yield order.splice(-size);
  }
}
