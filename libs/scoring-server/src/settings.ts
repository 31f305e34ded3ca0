import { commonSettings, computeSettings, integer } from '@surefoot/service';
import { z } from 'zod';

/** What every scoring service takes from its environment besides its address. */
export const scorerSettings = {
  ...commonSettings,
  SUREFOOT_MODEL: z.string(),
  ...computeSettings,
  SUREFOOT_WEIGHTS: z.enum(['auto', 'f32', 'bf16-mapped']).default('auto'),
  SUREFOOT_TOKEN_BUDGET: integer(1, 1_048_576).default(4_096),
  SUREFOOT_QUEUE_ROLLOUTS: integer(1, 1_000_000).default(4_096),
};

/** `scorerSettings`, read. */
export type ScorerConfig = z.output<z.ZodObject<typeof scorerSettings>>;
