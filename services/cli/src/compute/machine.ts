import { availableParallelism } from 'node:os';
import { integer, readConfig } from '@surefoot/service';
import { z } from 'zod';

/** What a command may use of the machine. */
export interface Machine {
  /** Processor threads. */
  threads: number;
  requireGpu: boolean;
}

const schema = z.object({
  SUREFOOT_THREADS: integer(1, 1024).optional(),
  SUREFOOT_REQUIRE_GPU: z.enum(['0', '1']).default('0'),
});

/** The variables that services have too. @throws DomainError invalid_argument naming the one that is wrong */
export function machine(env: NodeJS.ProcessEnv): Machine {
  const { SUREFOOT_THREADS: threads = availableParallelism(), SUREFOOT_REQUIRE_GPU: required } = readConfig(
    schema,
    env,
  );
  return { threads, requireGpu: required === '1' };
}
