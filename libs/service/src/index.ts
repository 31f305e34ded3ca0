export { callServerStream, callUnary, createClient, type CallSettings } from './client';
export type { CallContext } from './call';
export { createComputeWorker, exposeToParent, workerFile, type ComputeWorker } from './compute-worker';
export {
  commonSettings,
  computeSettings,
  hostAndPort,
  integer,
  parseHostAndPort,
  readConfig,
  type Environment,
} from './config';
export { implement, type BidiStreamingHandler, type BoundService, type Handlers, type Send } from './handlers';
export { createLogger, type Logger } from './logger';
export { transferring, type Call, type Procedures } from './message-rpc';
export { runMain, type RunningService } from './run-main';
export { maxMessageBytes, serve, type RunningServer } from './serve';
export { fromStatus, toStatus, wireText } from './status';
