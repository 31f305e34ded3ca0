import { runMain } from '@surefoot/service';
import { configSchema } from './config';
import { startRewardEnsemble } from './server';

runMain({ folder: __dirname, schema: configSchema, environment: process.env, start: startRewardEnsemble });
