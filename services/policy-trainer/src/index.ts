export { configSchema, type Config } from './config';
export { startPolicyTrainer } from './server';
