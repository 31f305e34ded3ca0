export { configSchema, type Config } from './config';
export { startRewardEnsemble } from './server';
