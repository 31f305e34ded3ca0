import { once } from 'node:events';
import { DomainError } from '@surefoot/errors';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { service as definition } from 'grpc-health-check';
import type { ServerScope } from './call';
import type { BoundService, Send } from './handlers';

type Status = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
interface Request {
  service: string;
}

/**
 * `grpc.health.v1.Health` of a server and the services on it. Ours, and not the implementation of grpc-health-check, whose
 * watches are never ended (a shutdown then waits for them) and whose watchers of made-up names are never forgotten.
 *
 * @param names full names of the services; the empty name is the server as a whole
 */
export function healthService(scope: ServerScope, names: string[]): BoundService & { changed: () => void } {
  const known = new Set(['', ...names]);
  const changes = new EventTarget();
  const status = (): Status =>
    scope.state === 'serving' && !scope.draining.signal.aborted ? 'SERVING' : 'NOT_SERVING';

  return {
    definition: definition as unknown as ServiceDefinition,
    always: true,
    handlers: {
      Check: ({ service }: Request) => {
        if (!known.has(service)) throw new DomainError('not_found', 'no service of that name on this server');
        return { status: status() };
      },
      List: () => ({ statuses: Object.fromEntries([...known].map((name) => [name, { status: status() }])) }),
      Watch: async ({ service }: Request, send: Send<{ status: Status }>, { signal }: { signal: AbortSignal }) => {
        if (!known.has(service)) await send({ status: 'SERVICE_UNKNOWN' });
        while (!scope.draining.signal.aborted) {
          if (known.has(service)) await send({ status: status() });
          await once(changes, 'change', { signal });
        }
        if (known.has(service)) await send({ status: status() });
      },
    },
    changed: () => changes.dispatchEvent(new Event('change')),
  };
}
