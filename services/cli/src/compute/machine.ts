import { availableParallelism } from 'node:os';
import { computeSettings, readConfig } from '@surefoot/service';
import { z } from 'zod';

/** What a command may use of the machine. */
export interface Machine {
  /** Processor threads. */
  threads: number;
  requireGpu: boolean;
}

const schema = z.object({
  SUREFOOT_THREADS: computeSettings.SUREFOOT_THREADS,
  SUREFOOT_REQUIRE_GPU: computeSettings.SUREFOOT_REQUIRE_GPU,
});

/** The variables that services have too. @throws DomainError invalid_argument naming the one that is wrong */
export function machine(env: NodeJS.ProcessEnv): Machine {
  const { SUREFOOT_THREADS: threads = availableParallelism(), SUREFOOT_REQUIRE_GPU: requireGpu } = readConfig(
    schema,
    env,
  );
  return { threads, requireGpu };
}

/**
 * Processor threads of each of so many processes that compute at once, so that they do not fight for processors: an equal
 * share, unless the environment says how many.
 */
export function threadsOfEach(env: NodeJS.ProcessEnv, processes: number): number {
  if (env['SUREFOOT_THREADS']) return machine(env).threads;
  return Math.max(1, Math.floor(availableParallelism() / Math.max(1, processes)));
}
