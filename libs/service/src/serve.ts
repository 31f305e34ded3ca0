import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import type { ServerScope } from './call';
import { listen, type Listener } from './connections';
import { wrapService, type BoundService } from './handlers';
import { healthService } from './health';
import type { Logger } from './logger';

/** Bytes of the largest message that a Surefoot server takes or sends. */
export const maxMessageBytes = 1024 * 1024;

/** Sources and reasons: README, "What every server sets". */
const serverOptions: ServerOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc.max_concurrent_streams': 128,
  'grpc.enable_channelz': 0,
  'grpc.max_connection_age_ms': 600_000,
  'grpc.max_connection_age_grace_ms': 120_000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** A server that listens. */
export interface RunningServer {
  /** `host:port` with the port that was really taken. */
  address: string;
  port: number;
  /** Drains and stops; resolves when the port is free. Calling it again gives the same promise. */
  close(): Promise<void>;
}

/**
 * Serves gRPC: health beside the given services, every handler in the one wrapper.
 *
 * The port is taken first, so that a port in use is known before a model is loaded. Until `ready` resolves, health says
 * NOT_SERVING and every other call gets UNAVAILABLE.
 *
 * @param options.services from `implement`
 * @param options.address `host:port`; port 0 = any free one
 * @param options.drainMs how long calls may take to end once `close` is called, before they are cut
 * @param options.ready what must have happened before the first call, for example a loaded model
 * @throws DomainError where the address cannot be listened on; whatever `ready` rejects with, and then the port is free
 */
export async function serve(options: {
  services: BoundService[];
  address: string;
  logger: Logger;
  drainMs: number;
  ready?: Promise<unknown>;
}): Promise<RunningServer> {
  const scope: ServerScope = {
    logger: options.logger,
    state: 'starting',
    draining: new AbortController(),
    active: new Set(),
  };
  setMaxListeners(0, scope.draining.signal);
  const server = new Server(serverOptions);
  const health = healthService(scope, options.services.map(serviceName));
  for (const service of [health, ...options.services]) {
    const { definition, implementation } = wrapService(scope, service);
    server.addService(definition, implementation);
  }
  // `ready` may fail while the port is being taken.
  options.ready?.catch(() => undefined);
  const listener = await listen(options.address, server.createConnectionInjector(ServerCredentials.createInsecure()));
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= drain(server, scope, health.changed, listener, options.drainMs));
  try {
    await options.ready;
  } catch (error) {
    await close();
    throw error;
  }
  scope.state = 'serving';
  health.changed();
  return { address: listener.address, port: listener.port, close };
}

/**
 * Health says NOT_SERVING, and handlers are told; what was accepted is answered; then connections close as their calls end.
 * `tryShutdown` alone waits for ever on a stream that stays open, so what remains after `drainMs` is cut.
 */
async function drain(
  server: Server,
  scope: ServerScope,
  healthChanged: () => void,
  listener: Listener,
  drainMs: number,
): Promise<void> {
  scope.draining.abort();
  healthChanged();
  const timer = new AbortController();
  const timeUp = sleep(drainMs, 'cut' as const, { signal: timer.signal }).catch(() => undefined);
  const ended = async () => {
    while (scope.active.size > 0) await Promise.all(scope.active);
    listener.close();
    await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  };
  const outcome = await Promise.race([ended(), timeUp]);
  timer.abort();
  if (outcome === 'cut') {
    scope.logger.warn({ calls: scope.active.size, drainMs }, 'drain time is over: remaining calls are cut');
    listener.close();
    listener.cut();
  }
}

function serviceName({ definition }: BoundService): string {
  // A path is `/package.Service/Method`.
  return Object.values(definition)[0]?.path.split('/')[1] ?? '';
}
