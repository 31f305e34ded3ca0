/** Runs that wait for one of several workers; one that its worker has lost waits again. */
export interface RunQueue<Run> {
  /** Takes the next one; where none waits, once one comes back. Undefined when all are done, or after `close`. */
  take(): Promise<Run | undefined>;
  /** Notes that one that was taken is done. */
  done(): void;
  /** Puts one that was taken back, before all others. */
  giveBack(run: Run): void;
  /** How many wait. */
  waiting(): number;
  /** Lets go of those that wait. */
  close(): void;
}

/** A queue of `runs`, in their order. */
export function createRunQueue<Run>(runs: readonly Run[]): RunQueue<Run> {
  const queue = [...runs];
  let open = runs.length;
  const idle: (() => void)[] = [];
  const wakeAll = () => idle.splice(0).forEach((wake) => wake());
  return {
    async take() {
      while (queue.length === 0 && open > 0) await new Promise<void>((wake) => idle.push(wake));
      return queue.shift();
    },
    done() {
      open -= 1;
      wakeAll();
    },
    giveBack(run) {
      // After `close` nothing is taken any more.
      if (open > 0) queue.unshift(run);
      wakeAll();
    },
    waiting: () => queue.length,
    close() {
      queue.length = 0;
      open = 0;
      wakeAll();
    },
  };
}
