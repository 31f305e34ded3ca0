import { commonSettings, computeSettings, hostAndPort, integer } from '@surefoot/service';
import { z } from 'zod';

/** What the process takes from its environment; README.md says what each variable means. */
export const configSchema = z.object({
  ...commonSettings,
  ...computeSettings,
  SUREFOOT_ADDRESS: hostAndPort().default('127.0.0.1:50053'),
  SUREFOOT_RUNS_DIR: z.string().default('runs'),
  SUREFOOT_DATA_DIR: z.string().default('.'),
  SUREFOOT_ENSEMBLE_ADDRESS: z.string().default('127.0.0.1:50051'),
  SUREFOOT_JUDGE_ADDRESS: z.string().default('127.0.0.1:50052'),
  SUREFOOT_WEIGHTS: z.enum(['auto', 'f32', 'bf16-mapped']).default('auto'),
  SUREFOOT_SCORER_PATIENCE_MS: integer(1000, 86_400_000).default(60_000),
});

/** The configuration of a policy-trainer process. */
export type Config = z.output<typeof configSchema>;
