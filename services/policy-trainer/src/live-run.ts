import { DomainError } from '@surefoot/errors';
import type { MetricsLine } from './metrics-file';
import type { Run } from './run';

/** What a watcher is told: an iteration that ended, or a change of the run's state, stage or warnings. */
export type RunEvent = { line: MetricsLine } | { run: Run };

/** A run that waits or computes in this process. */
export interface LiveRun {
  readonly folder: string;
  /** The run as it stands; replaced, never changed in place. */
  run(): Run;
  /** Changes the run and tells the watchers where its state, its stage or its warnings have changed. */
  update(change: Partial<Run>): void;
  /** Notes a finished iteration and tells the watchers. */
  iterationDone(line: MetricsLine): void;
  /** Events from now on, to the run's end; a watcher too slow for them is sent away. */
  events(signal: AbortSignal): AsyncGenerator<RunEvent>;
  /** Ends all watching. */
  end(): void;
}

/** Events that wait for one watcher; it may come back and read what it missed from the file. */
const maxWaiting = 10_000;

/** A live run and its watchers. */
export function createLiveRun(folder: string, first: Run): LiveRun {
  let run = first;
  const watchers = new Set<{ waiting: RunEvent[]; wake: () => void; ended: boolean; tooSlow: boolean }>();
  const tell = (event: RunEvent) => {
    for (const watcher of watchers) {
      watcher.waiting.push(event);
      // One that has stalled may never come back to look, so it is let go here.
      if (watcher.waiting.length > maxWaiting) {
        watcher.tooSlow = true;
        watcher.waiting = [];
        watchers.delete(watcher);
      }
      watcher.wake();
    }
  };
  return {
    folder,
    run: () => run,
    update(change) {
      const isNews = (['state', 'stage', 'warnings'] as const).some((key) => key in change && change[key] !== run[key]);
      run = { ...run, ...change };
      if (isNews) tell({ run });
    },
    iterationDone(line) {
      run = { ...run, iteration: line.iteration, seconds: line.metrics['time/seconds'] ?? run.seconds };
      tell({ line });
    },
    async *events(signal) {
      const watcher = { waiting: [] as RunEvent[], wake: () => {}, ended: false, tooSlow: false };
      const onAbort = () => watcher.wake();
      watchers.add(watcher);
      signal.addEventListener('abort', onAbort);
      try {
        while (!signal.aborted) {
          if (watcher.tooSlow)
            throw new DomainError('resource_exhausted', 'the watcher is too slow: watch again from its last iteration');
          const event = watcher.waiting.shift();
          if (event) yield event;
          else if (watcher.ended) return;
          else await new Promise<void>((resolve) => (watcher.wake = resolve));
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener('abort', onAbort);
      }
    },
    end() {
      for (const watcher of watchers) {
        watcher.ended = true;
        watcher.wake();
      }
    },
  };
}
