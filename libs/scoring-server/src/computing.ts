import { DomainError } from '@surefoot/errors';
import type { WeightForm } from '@surefoot/language-model';
import { ensembleSize, type MemberRange } from '@surefoot/reward';
import { createComputeWorker, workerFile, type ComputeWorker } from '@surefoot/service';
import { computesOnOneProcessor, type Backend, type BackendName } from '@surefoot/tensor';
import type { ComputeProcedures, LoadedModel } from './compute-thread';

/** The models, in threads of their own, so that health checks are answered while they compute. */
export interface Computing {
  /** Loads an ensemble folder, once. @throws DomainError naming the members where one of several threads cannot load its own */
  load(input: LoadInput): Promise<LoadedModel>;
  /** Raw scores [N][K] of token sequences. */
  score(sequences: Int32Array[]): Promise<Float32Array[]>;
  /** Resolves when one of the threads has broken down. */
  failed: Promise<Error>;
  close(): Promise<void>;
}

/** What is to be loaded, and where. */
export interface LoadInput {
  folder: string;
  backend: BackendName;
  /** How weights are held; default `auto`. */
  weights?: WeightForm;
  /** Processor threads: on wasm so many threads share the members. */
  threads: number;
  requireGpu: boolean;
  tokenBudget: number;
  /** Told what computes before anything is loaded. */
  onOpened?: (backend: Backend) => void;
}

/** A compute thread and the members that it has. */
interface Share {
  worker: ComputeWorker<ComputeProcedures>;
  range: MemberRange;
}

/**
 * Prepares to load an ensemble.
 *
 * On wasm, which computes on one processor a heap, members that are models of their own are shared by as many threads as there
 * are processors for them; every batch goes to all, and a member's scores are the same bits in whichever it is. Other backends
 * divide each operation among threads of their own and have all members in one; and what members share is in one thread.
 */
export function startComputing(): Computing {
  let shares: Share[] = [];
  const workers: Share['worker'][] = [];
  let isClosed = false;
  let report: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => (report = resolve));

  function startThread(): Share['worker'] {
    if (isClosed) throw new DomainError('unavailable', 'stopped while the model was being loaded');
    const worker = createComputeWorker<ComputeProcedures>(workerFile(__dirname, 'compute-thread'));
    void worker.failed.then(report);
    workers.push(worker);
    return worker;
  }

  return {
    async load({ folder, backend, weights = 'auto', threads, requireGpu, tokenBudget, onOpened }) {
      const { members, parameters, isDivisible } = await ensembleSize(folder);
      const most = isDivisible ? Math.min(members, threads) : 1;
      const first = startThread();
      const opened = await first.call('open', {
        name: backend,
        options: { threads, parameters, requireGpu, heaps: most },
      });
      onOpened?.(opened);
      const ranges = memberRanges(members, computesOnOneProcessor(opened) ? most : 1);
      shares = ranges.map((range, i) => ({ range, worker: i === 0 ? first : startThread() }));
      const loaded = await Promise.all(
        shares.map(async ({ worker, range }) => {
          try {
            // All of them the backend and build of the first: `auto` is decided once.
            const { name, kernelBuild } = opened;
            if (worker !== first) await worker.call('open', { name, options: { kernelBuild, heaps: shares.length } });
            return await worker.call('load', { folder, range, weights, tokenBudget });
          } catch (error) {
            throw shares.length === 1 ? error : atMembers(range, members, error);
          }
        }),
      );
      if (loaded.some(({ digest }) => digest !== loaded[0]!.digest))
        throw new DomainError('failed_precondition', `${folder} was changed while it was being loaded`);
      const warnings = loaded.flatMap((share) => share.warnings);
      return { ...loaded[0]!, warnings, backend: opened, computeThreads: shares.length };
    },
    async score(sequences) {
      const lengths = Int32Array.from(sequences, ({ length }) => length);
      const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
      let start = 0;
      for (const sequence of sequences) {
        ids.set(sequence, start);
        start += sequence.length;
      }
      const parts = await Promise.all(shares.map(({ worker }) => worker.call('score', { ids, lengths })));
      return putTogether(
        parts,
        shares.map(({ range }) => range),
      );
    },
    failed,
    async close() {
      isClosed = true;
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}

/** Shares of K members, in order and as equal as can be, none empty. */
export function memberRanges(members: number, threads: number): MemberRange[] {
  const count = Math.min(members, threads);
  const start = (i: number) => Math.floor((i * members) / count);
  return Array.from({ length: count }, (_, i) => ({ from: start(i), to: start(i + 1) }));
}

/** Rows [N][K] of the scores [N * members] that each share has given. */
function putTogether(parts: Float32Array[], ranges: MemberRange[]): Float32Array[] {
  const members = ranges.at(-1)!.to;
  const count = parts[0]!.length / ranges[0]!.to;
  const rows = Array.from({ length: count }, () => new Float32Array(members));
  parts.forEach((part, i) => {
    const { from, to } = ranges[i]!;
    rows.forEach((row, n) => row.set(part.subarray(n * (to - from), (n + 1) * (to - from)), from));
  });
  return rows;
}

function atMembers({ from, to }: MemberRange, members: number, error: unknown): unknown {
  if (!(error instanceof DomainError)) return error;
  const which = to - from === 1 ? `member ${from}` : `members ${from} to ${to - 1}`;
  return new DomainError(error.kind, `${which} of ${members}: ${error.message}`, { cause: error });
}
