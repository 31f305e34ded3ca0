import type { Logger } from '@surefoot/service';
import { createCompute } from './compute';
import type { ComputeSettings } from './compute-thread';
import type { LiveRun } from './live-run';
import type { RunSettings } from './run-settings';
import { checkEnsemble, connectScorers } from './scorers';
import type { TrainingJob, TrainingOutcome } from './training-job';

/** What computes runs, one at a time. */
export interface RunExecution {
  /** Starts the compute thread, so that a backend that does not open is known at once. @throws as openBackend */
  prepare(): Promise<void>;
  /** Refuses what the ensemble cannot do; passes where no ensemble answers yet. @throws as checkEnsemble */
  check(settings: RunSettings): Promise<void>;
  /**
   * Computes a run to its end.
   *
   * @param run.signal stops it after the current step
   * @throws DomainError as trainingRun and connectScorers
   */
  execute(run: { live: LiveRun; paths: TrainingJob['paths']; signal: AbortSignal }): Promise<TrainingOutcome>;
  /** Ends the compute thread at once. */
  close(): Promise<void>;
}

/** @param options.patienceMs how long a run waits while no scorer answers */
export function createRunExecution(options: {
  computing: ComputeSettings;
  patienceMs: number;
  logger: Logger;
}): RunExecution {
  const { computing, patienceMs, logger } = options;
  const compute = createCompute(computing, logger);
  return {
    prepare: async () => void (await compute.thread({})),
    check: checkEnsemble,
    close: () => compute.close(),
    async execute({ live, paths, signal }) {
      const { id, settings } = live.run();
      live.update({ state: 'running' });
      logger.info({ run: id, mode: settings.ppo.mode, seed: settings.seed }, 'run started');
      const stop = new SharedArrayBuffer(4);
      signal.addEventListener('abort', () => Atomics.store(new Int32Array(stop), 0, 1), { once: true });
      const scorers = await connectScorers(settings, { patienceMs, signal });
      try {
        live.update({ ensemble: scorers.ensemble, ...(scorers.judge && { judge: scorers.judge }) });
        const call = await compute.thread({
          score: scorers.score,
          warn: (message) => {
            logger.warn({ run: id }, message);
            const { warnings = [] } = live.run();
            if (!warnings.includes(message)) live.update({ warnings: [...warnings, message] });
          },
          stage: (stage) => live.update({ stage }),
          iterationDone: (line) => {
            live.iterationDone(line);
            logger.debug({ run: id, ...line }, 'iteration done');
          },
        });
        return await call('train', {
          ...{ folder: live.folder, settings, paths, stop },
          ensembleDigest: scorers.ensemble.digest,
          judgeDigest: scorers.judge?.digest ?? null,
        });
      } finally {
        // Every rollout once: sent - redispatched = answered, duplicates 0.
        logger.info({ run: id, ...scorers.counters() }, 'scoring ended');
        scorers.close();
      }
    },
  };
}
