import { commonSettings, integer } from '@surefoot/service';
import { z } from 'zod';

/** What every scoring service takes from its environment besides its address. */
export const scorerSettings = {
  ...commonSettings,
  SUREFOOT_MODEL: z.string(),
  SUREFOOT_BACKEND: z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']).default('auto'),
  SUREFOOT_THREADS: integer(1, 1024).optional(),
  SUREFOOT_REQUIRE_GPU: z
    .enum(['0', '1'])
    .default('0')
    .transform((value) => value === '1'),
  SUREFOOT_TOKEN_BUDGET: integer(1, 1_048_576).default(4_096),
  SUREFOOT_QUEUE_ROLLOUTS: integer(1, 1_000_000).default(4_096),
};

/** `scorerSettings`, read. */
export type ScorerConfig = z.output<z.ZodObject<typeof scorerSettings>>;
