/** A sequence that waits for its scores. */
export interface Waiting {
  /** Prompt and response token ids. */
  sequence: Int32Array;
  /** `performance.now()` from which its score is of no use; Infinity = never. */
  expiresAt: number;
  /** True once it has been answered, for example because it was cancelled. */
  isSettled(): boolean;
  onScores(scores: Float32Array): void;
  onExpired(): void;
  onError(error: unknown): void;
}

/**
 * Scores sequences in batches, oldest first, each batch as large as the token budget allows. While one batch computes the
 * next one gathers, so nothing is ever delayed for the sake of a fuller batch. What was cancelled or has expired meanwhile
 * is left out before it costs a forward pass. Similar lengths meet within a batch (libs/reward, `scoreSequences`).
 *
 * @param compute scores of sequences, [N][K]
 * @param tokenBudget tokens of a batch; a longer sequence is a batch of its own
 */
export function createBatcher(compute: (sequences: Int32Array[]) => Promise<Float32Array[]>, tokenBudget: number) {
  let queue: Waiting[] = [];
  let isRunning = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (queue.length > 0) await runBatch(nextBatch());
    isRunning = false;
  }

  function nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let tokens = 0;
    let taken = 0;
    for (const waiting of queue) {
      if (waiting.isSettled()) taken += 1;
      else if (performance.now() >= waiting.expiresAt) {
        waiting.onExpired();
        taken += 1;
      } else {
        tokens += waiting.sequence.length;
        if (batch.length > 0 && tokens > tokenBudget) break;
        batch.push(waiting);
        taken += 1;
      }
    }
    queue = queue.slice(taken);
    return batch;
  }

  async function runBatch(batch: Waiting[]): Promise<void> {
    if (batch.length === 0) return;
    try {
      const scores = await compute(batch.map(({ sequence }) => sequence));
      batch.forEach((waiting, i) => waiting.onScores(scores[i]!));
    } catch (error) {
      for (const waiting of batch) waiting.onError(error);
    }
  }

  return {
    add(waiting: Waiting): void {
      queue.push(waiting);
      // In a microtask, so that what arrived in one message is one batch.
      if (!isRunning) {
        isRunning = true;
        queueMicrotask(() => void run());
      }
    },
  };
}
