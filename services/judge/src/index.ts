export { configSchema, type Config } from './config';
export { startJudge } from './server';
