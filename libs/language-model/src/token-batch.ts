import { DomainError } from '@surefoot/errors';

/** Token sequences of different lengths side by side, padded on the right. */
export interface TokenBatch {
  /** [B*T] row-major; padding holds id 0 and is never read by a result */
  ids: Int32Array;
  /** [B] tokens of each row without padding */
  lengths: Int32Array;
  batch: number;
  /** T, padding included */
  width: number;
}

/**
 * Packs sequences into one batch.
 *
 * @param sequences B of them, none empty
 * @param padTo width; default the longest sequence
 * @throws DomainError invalid_argument for no or empty sequences, or one longer than `padTo`
 */
export function packSequences(sequences: ArrayLike<number>[], padTo?: number): TokenBatch {
  const lengths = Int32Array.from(sequences, (sequence) => sequence.length);
  const empty = lengths.indexOf(0);
  if (lengths.length === 0 || empty >= 0)
    throw new DomainError('invalid_argument', empty < 0 ? 'no sequences to pack' : `sequence ${empty} is empty`);
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  const width = padTo ?? longest;
  if (longest > width)
    throw new DomainError('invalid_argument', `a sequence has ${longest} tokens, at most ${width} fit`);
  const ids = new Int32Array(sequences.length * width);
  sequences.forEach((sequence, row) => ids.set(sequence, row * width));
  return { ids, lengths, batch: sequences.length, width };
}

/** Index into [B*T] of each row's last token before padding, [B]. */
export function lastTokenRows({ lengths, width }: TokenBatch): Int32Array {
  return lengths.map((length, row) => row * width + length - 1);
}

/** Where the response tokens of a batch are predicted. */
export interface ResponseRows {
  /** [R] index into [B*T] of the position whose logits predict a response token: the one before it */
  rows: Int32Array;
  /** [R] the response tokens */
  targets: Int32Array;
  /** [B+1] row b's response tokens are `offsets[b]` to `offsets[b + 1]` of the others */
  offsets: Int32Array;
}

/**
 * Finds the positions that predict the response tokens, so that the language-model head need run on no others.
 *
 * @param promptLengths [B] each 1 to the row's length
 * @throws DomainError invalid_argument if a prompt is empty (nothing predicts its first token) or longer than its row
 */
export function responseRows(batch: TokenBatch, promptLengths: ArrayLike<number>): ResponseRows {
  const offsets = new Int32Array(batch.batch + 1);
  batch.lengths.forEach((length, row) => {
    const prompt = promptLengths[row] ?? 0;
    if (prompt < 1 || prompt > length)
      throw new DomainError('invalid_argument', `row ${row} has a prompt of ${prompt} of its ${length} tokens`);
    offsets[row + 1] = offsets[row]! + length - prompt;
  });
  const rows = new Int32Array(offsets[batch.batch]!);
  batch.lengths.forEach((length, row) => {
    const first = row * batch.width + promptLengths[row]! - 1;
    for (let i = offsets[row]!; i < offsets[row + 1]!; i++) rows[i] = first + i - offsets[row]!;
  });
  return { rows, targets: rows.map((position) => batch.ids[position + 1]!), offsets };
}
