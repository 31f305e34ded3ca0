import { runMain } from '@surefoot/service';
import { configSchema } from './config';
import { startPolicyTrainer } from './server';

runMain({ folder: __dirname, schema: configSchema, environment: process.env, start: startPolicyTrainer });
