import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { ConnectionInjector } from '@grpc/grpc-js';
import { DomainError, type ErrorKind } from '@surefoot/errors';
import { parseHostAndPort } from './config';

/** A connection that has sent nothing for this long is closed, milliseconds. */
const firstByteMs = 10_000;
/** Connections beyond this many are closed at once. */
const maxConnections = 1024;

const reasons: Record<string, [ErrorKind, string]> = {
  EADDRINUSE: ['failed_precondition', 'another process uses that port: stop it or choose another address'],
  EADDRNOTAVAIL: ['failed_precondition', 'this machine has no such address'],
  EACCES: ['failed_precondition', 'no permission for that port: choose one above 1023'],
  ENOTFOUND: ['invalid_argument', 'there is no host of that name'],
};

/** A port that is listened on. */
export interface Listener {
  /** `host:port` with the port that was taken. */
  address: string;
  port: number;
  /** Takes no further connections and closes those that never said anything. */
  close(): void;
  /** Cuts every connection. `Server.forceShutdown` cuts none in a server without channelz (grpc-js 1.14.7). */
  cut(): void;
}

/**
 * Listens for connections and hands each to gRPC once its first byte is there. grpc-js alone keeps sockets that say nothing
 * for ever, and reports a port in use in a text that does not say so.
 *
 * @throws DomainError naming the address where it cannot be listened on
 */
export async function listen(
  address: string,
  { injectConnection }: Pick<ConnectionInjector, 'injectConnection'>,
): Promise<Listener> {
  const parts = parseHostAndPort(address);
  if (!parts) throw new DomainError('invalid_argument', `${address} is no address: it must be HOST:PORT`);
  const open = new Set<Socket>();
  const silent = new Set<Socket>();
  const destroyAll = (sockets: Set<Socket>) => sockets.forEach((socket) => socket.destroy());
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    awaitFirstByte(socket, silent, injectConnection);
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const [kind, reason] = reasons[error.code ?? ''] ?? ['failed_precondition' as const, error.message];
      reject(new DomainError(kind, `cannot listen on ${address}: ${reason}`, { cause: error }));
    });
    server.listen(parts.port, parts.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `${parts.host.includes(':') ? `[${parts.host}]` : parts.host}:${port}`,
    port,
    close: () => {
      server.close();
      destroyAll(silent);
    },
    cut: () => destroyAll(open),
  };
}

/** Hands the socket over with its first bytes still unread: an HTTP/2 session takes what its socket has buffered. */
function awaitFirstByte(socket: Socket, silent: Set<Socket>, inject: (socket: Socket) => void): void {
  silent.add(socket);
  const timer = setTimeout(() => socket.destroy(), firstByteMs);
  const ignore = () => {};
  const forget = () => {
    clearTimeout(timer);
    silent.delete(socket);
  };
  socket.on('error', ignore).once('close', forget);
  socket.once('readable', () => {
    forget();
    socket.off('error', ignore);
    if (!socket.destroyed && !socket.readableEnded) inject(socket);
  });
}
