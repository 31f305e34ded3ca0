import { randomUUID } from 'node:crypto';
import { status as Status, type Deadline, type Metadata } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import type { Logger } from './logger';
import { toStatus, type StatusToSend } from './status';

/** What a handler knows about its call besides the request. */
export interface CallContext {
  /** Aborted when the client has left or the deadline has passed: nobody waits for the answer any more. */
  signal: AbortSignal;
  /** Aborted when the server drains: answer what was accepted, accept nothing more, end soon. */
  draining: AbortSignal;
  /** Carries `rpc` and `requestId`. */
  logger: Logger;
  /** `x-request-id` of the call, or a new one; pass it on to further calls. */
  requestId: string;
  /** Milliseconds since the epoch; Infinity where the client set none. */
  deadline: number;
}

/** What the calls of one server share. */
export interface ServerScope {
  logger: Logger;
  state: 'starting' | 'serving';
  draining: AbortController;
  /** Calls that are not finished, health checks left out. */
  active: Set<Promise<void>>;
}

/** What the four call types of grpc-js have in common. */
interface ServerCall {
  metadata: Metadata;
  getDeadline(): Deadline;
  once(event: 'cancelled', listener: () => void): unknown;
}

/**
 * Runs the work of one call: the only place where an error of a handler is caught, mapped and logged. It never rejects,
 * since a rejection in a grpc-js handler ends the process.
 *
 * @param options.always true for calls that are answered while the server starts and drains (health)
 * @param options.fail sends the status of a failed call
 */
export async function runCall(
  scope: ServerScope,
  call: ServerCall,
  rpc: string,
  options: { always: boolean; work: (context: CallContext) => Promise<void>; fail: (status: StatusToSend) => void },
): Promise<void> {
  const started = performance.now();
  const context = createContext(scope, call, rpc);
  const finished = work();
  if (!options.always) {
    scope.active.add(finished);
    void finished.then(() => scope.active.delete(finished));
  }
  return finished;

  async function work(): Promise<void> {
    try {
      if (!options.always) refuseUnlessServing(scope);
      await options.work(context);
      log(Status.OK);
    } catch (error) {
      // A status cannot reach a client that has left; emitting one on a destroyed stream would only raise a second error.
      if (context.signal.aborted) return log(abortedCode(context), error);
      const status = toStatus(error);
      options.fail(status);
      log(status.code, error);
    }
  }

  function log(code: Status, error?: unknown): void {
    const fields = { code: Status[code], durationMs: Math.round(performance.now() - started) };
    if (code === Status.INTERNAL) context.logger.error({ ...fields, err: error }, 'rpc failed');
    else if (error instanceof DomainError) context.logger.info({ ...fields, reason: error.message }, 'rpc failed');
    else if (error !== undefined) context.logger.info(fields, 'rpc failed');
    else context.logger[options.always ? 'debug' : 'info'](fields, 'rpc done');
  }
}

function createContext(scope: ServerScope, call: ServerCall, rpc: string): CallContext {
  const controller = new AbortController();
  call.once('cancelled', () => controller.abort());
  const given = String(call.metadata.get('x-request-id')[0] ?? '');
  const requestId = /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID();
  const deadline = call.getDeadline();
  return {
    signal: controller.signal,
    draining: scope.draining.signal,
    logger: scope.logger.child({ rpc, requestId }),
    requestId,
    deadline: typeof deadline === 'number' ? deadline : deadline.getTime(),
  };
}

function refuseUnlessServing(scope: ServerScope): void {
  if (scope.draining.signal.aborted)
    throw new DomainError('unavailable', 'the server is shutting down: use another one');
  if (scope.state === 'starting') throw new DomainError('unavailable', 'the server is still starting: try again');
}

function abortedCode(context: CallContext): Status {
  return Date.now() >= context.deadline ? Status.DEADLINE_EXCEEDED : Status.CANCELLED;
}
