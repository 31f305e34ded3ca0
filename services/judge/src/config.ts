import { scorerSettings } from '@surefoot/scoring-server';
import { hostAndPort } from '@surefoot/service';
import { z } from 'zod';

/** What the process takes from its environment; README.md says what each variable means. */
export const configSchema = z.object({
  ...scorerSettings,
  SUREFOOT_ADDRESS: hostAndPort().default('127.0.0.1:50052'),
});

/** The configuration of a judge process. */
export type Config = z.output<typeof configSchema>;
