import { Metadata, status as Status, type ServiceError } from '@grpc/grpc-js';
import { DomainError, type ErrorKind } from '@surefoot/errors';

const codes: Record<ErrorKind, Status> = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  already_exists: Status.ALREADY_EXISTS,
  failed_precondition: Status.FAILED_PRECONDITION,
  aborted: Status.ABORTED,
  resource_exhausted: Status.RESOURCE_EXHAUSTED,
  unavailable: Status.UNAVAILABLE,
  diverged: Status.INTERNAL,
};

const kinds = new Map(
  (Object.entries(codes) as [ErrorKind, Status][])
    .filter(([kind]) => kind !== 'diverged')
    .map(([kind, code]) => [code, kind]),
);

/** When a client that was turned away for lack of room may come back, milliseconds. */
const pushbackMs = 250;

/** A status as grpc-js takes it from a handler. */
export interface StatusToSend {
  code: Status;
  details: string;
  metadata?: Metadata;
}

/**
 * The status that an error becomes on the wire. What is not a DomainError is a bug: its text stays in our log.
 *
 * @param error whatever a handler threw
 */
export function toStatus(error: unknown): StatusToSend {
  if (!(error instanceof DomainError))
    return { code: Status.INTERNAL, details: 'internal error: see the log of the service' };
  const status: StatusToSend = { code: codes[error.kind], details: wireText(error.message) };
  if (error.kind === 'resource_exhausted') {
    status.metadata = new Metadata();
    status.metadata.set('grpc-retry-pushback-ms', String(pushbackMs));
  }
  return status;
}

/** The error that a status from a peer becomes; `peer` says who answered. */
export function fromStatus(error: Pick<ServiceError, 'code' | 'details'>, peer: string): Error {
  if (error.code === Status.UNAVAILABLE && error.details.includes('ECONNREFUSED'))
    return new DomainError('unavailable', `cannot reach ${peer}: connection refused; is the service running?`, {
      cause: error,
    });
  const message = `${peer}: ${error.details || Status[error.code]}`;
  const kind = kinds.get(error.code);
  if (kind) return new DomainError(kind, message, { cause: error });
  if (error.code === Status.DEADLINE_EXCEEDED)
    return new DomainError('unavailable', `${peer} did not answer in time`, { cause: error });
  if (error.code === Status.UNIMPLEMENTED)
    return new DomainError('failed_precondition', `${peer} serves something else: ${error.details}`, { cause: error });
  if (error.code === Status.CANCELLED) return new DOMException(message, 'AbortError');
  return new Error(`${message} (${Status[error.code] ?? error.code})`, { cause: error });
}

/**
 * A text as a status may carry it: well-formed, since grpc-js throws on a lone surrogate, and at most 1,024 bytes, since
 * clients hang on details that do not fit into their header list.
 */
export function wireText(text: string): string {
  return Buffer.from(text.slice(0, 1024), 'utf8')
    .subarray(0, 1024)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
}
