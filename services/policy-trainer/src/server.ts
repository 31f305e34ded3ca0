import { resolve } from 'node:path';
import { PolicyTrainerService } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { implement, serve, type Logger, type RunningService } from '@surefoot/service';
import type { Config } from './config';
import { createGenerator } from './generator';
import { createHandlers } from './handlers';
import { createRunExecution } from './run-execution';
import { openRuns } from './runs';

/** Starts a policy trainer; runs that an earlier process left are shown as interrupted and wait to be resumed. */
export async function startPolicyTrainer(config: Config, logger: Logger): Promise<RunningService> {
  const runsDirectory = resolve(config.SUREFOOT_RUNS_DIR);
  const dataDirectory = resolve(config.SUREFOOT_DATA_DIR);
  const computing = {
    backend: config.SUREFOOT_BACKEND,
    threads: config.SUREFOOT_THREADS,
    requireGpu: config.SUREFOOT_REQUIRE_GPU,
  };
  const execution = createRunExecution({ computing, patienceMs: config.SUREFOOT_SCORER_PATIENCE_MS, logger });
  const runs = await openRuns({
    runsDirectory,
    dataDirectory,
    defaults: {
      ensembleAddress: config.SUREFOOT_ENSEMBLE_ADDRESS,
      judgeAddress: config.SUREFOOT_JUDGE_ADDRESS,
      weights: config.SUREFOOT_WEIGHTS,
    },
    execution,
    logger,
  });
  const generator = createGenerator({
    computing,
    weights: config.SUREFOOT_WEIGHTS,
    runsDirectory,
    dataDirectory,
    logger,
  });
  const server = await serve({
    services: [implement(PolicyTrainerService, createHandlers(runs, generator))],
    address: config.SUREFOOT_ADDRESS,
    drainMs: config.SUREFOOT_DRAIN_MS,
    logger,
    ready: execution.prepare(),
  }).catch(async (error: unknown) => {
    await runs.close();
    throw error;
  });
  return {
    address: server.address,
    close: async () => {
      // A checkpoint stands already, so a run is dropped at once; calls end as the server drains.
      await runs.close();
      await server.close();
      await generator.close();
    },
  };
}
