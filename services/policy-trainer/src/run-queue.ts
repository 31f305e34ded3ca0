import { DomainError } from '@surefoot/errors';

/** Work that waits its turn: one piece at a time, in the order of arrival. */
export interface RunQueue {
  /**
   * Adds work under an id that is not in the queue.
   *
   * @param work must not reject; its signal is aborted when the run is cancelled or the queue closes while it runs
   * @throws DomainError resource_exhausted where `capacity` runs wait, unavailable once closed
   */
  add(id: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** Takes waiting work out (`removed`) or aborts it (`aborted`); `absent` where it is not here. */
  cancel(id: string): 'removed' | 'aborted' | 'absent';
  /** Forgets waiting work, aborts what runs and waits for its end. */
  close(): Promise<void>;
}

/** An empty queue. */
export function createRunQueue(capacity: number): RunQueue {
  const waiting = new Map<string, (signal: AbortSignal) => Promise<void>>();
  let running: { id: string; abort: AbortController; done: Promise<void> } | undefined;
  let closed = false;

  const next = () => {
    const [first] = waiting;
    if (running || closed || !first) return;
    const [id, work] = first;
    waiting.delete(id);
    const abort = new AbortController();
    const done = work(abort.signal).finally(() => {
      running = undefined;
      next();
    });
    running = { id, abort, done };
  };

  return {
    add(id, work) {
      if (closed) throw new DomainError('unavailable', 'the trainer is shutting down: start the run again later');
      if (waiting.size >= capacity)
        throw new DomainError('resource_exhausted', `${capacity} runs are waiting: try again when some have ended`);
      waiting.set(id, work);
      next();
    },
    cancel(id) {
      if (waiting.delete(id)) return 'removed';
      if (running?.id !== id) return 'absent';
      running.abort.abort();
      return 'aborted';
    },
    async close() {
      closed = true;
      waiting.clear();
      running?.abort.abort();
      await running?.done;
    },
  };
}
