import { createComputeWorker, workerFile } from '@surefoot/service';
import type { BackendName } from '@surefoot/tensor';
import type { ComputeProcedures, LoadedModel } from './compute-thread';

/** The models, in a thread of their own, so that health checks are answered while they compute. */
export interface Computing {
  load(input: { folder: string; backend: BackendName; tokenBudget: number }): Promise<LoadedModel>;
  /** Raw scores [N][K] of token sequences. */
  score(sequences: Int32Array[]): Promise<Float32Array[]>;
  failed: Promise<Error>;
  close(): Promise<void>;
}

export function startComputing(): Computing {
  const worker = createComputeWorker<ComputeProcedures>(workerFile(__dirname, 'compute-thread'));
  return {
    load: (input) => worker.call('load', input),
    score: async (sequences) => {
      // One block each way: moved, not copied.
      const lengths = Int32Array.from(sequences, ({ length }) => length);
      const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
      let start = 0;
      for (const sequence of sequences) {
        ids.set(sequence, start);
        start += sequence.length;
      }
      const flat = await worker.call('score', { ids, lengths }, [ids.buffer, lengths.buffer]);
      const members = flat.length / sequences.length;
      return sequences.map((_, i) => flat.subarray(i * members, (i + 1) * members));
    },
    failed: worker.failed,
    close: () => worker.close(),
  };
}
