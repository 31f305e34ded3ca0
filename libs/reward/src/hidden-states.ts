import {
  hiddenStates,
  lastTokenRows,
  packSequences,
  tokensThatFit,
  type LanguageModel,
} from '@surefoot/language-model';
import * as tf from '@tensorflow/tfjs';
import { lengthBuckets } from './length-buckets';
import { rewardConfig } from './reward-head';

/** What heads read: hidden states of sequences at their last token, each computed once. */
export interface HiddenStates {
  /** [N, H] of the sequences, row by row. A sequence is known again by its array. */
  of(sequences: Int32Array[]): Promise<Float32Array>;
}

/**
 * Hidden states of a trunk that does not change, kept in this process' memory: H numbers a sequence.
 *
 * @param tokenBudget padded tokens of one pass at most; fewer where memory is short
 * @param onPass      called after each pass, counted from 0, of those that the sequences asked for take
 */
export function keepHiddenStates(
  trunk: LanguageModel,
  tokenBudget: number,
  onPass?: (pass: number, passes: number) => void,
): HiddenStates {
  const { hiddenSize } = trunk.config;
  const known = new Map<Int32Array, Float32Array>();

  async function compute(sequences: Int32Array[]): Promise<void> {
    const lengths = sequences.map(({ length }) => length);
    const longest = lengths.reduce((a, b) => Math.max(a, b), 1);
    const plan = { longest, limit: tokenBudget, purpose: 'scoring' } as const;
    const budget = tokensThatFit(rewardConfig(trunk.config), plan);
    const buckets = lengthBuckets(lengths, budget);
    for (const [pass, bucket] of buckets.entries()) {
      const batch = packSequences(bucket.map((i) => sequences[i]!));
      const hidden = tf.tidy(() => hiddenStates(trunk, batch, lastTokenRows(batch)));
      try {
        const values = (await hidden.data()) as Float32Array;
        for (const [row, i] of bucket.entries())
          known.set(sequences[i]!, values.slice(row * hiddenSize, (row + 1) * hiddenSize));
      } finally {
        hidden.dispose();
      }
      onPass?.(pass, buckets.length);
    }
  }

  return {
    async of(sequences) {
      const missing = [...new Set(sequences)].filter((sequence) => !known.has(sequence));
      if (missing.length > 0) await compute(missing);
      const rows = new Float32Array(sequences.length * hiddenSize);
      sequences.forEach((sequence, row) => rows.set(known.get(sequence)!, row * hiddenSize));
      return rows;
    },
  };
}
