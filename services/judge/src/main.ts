import { runMain } from '@surefoot/service';
import { configSchema } from './config';
import { startJudge } from './server';

runMain({ folder: __dirname, schema: configSchema, environment: process.env, start: startJudge });
