/** What went wrong, by what the caller can do about it; each kind has one gRPC status (libs/service/src/status.ts). */
export type ErrorKind =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'aborted'
  | 'resource_exhausted'
  | 'unavailable'
  | 'diverged';

/** The one error that our code throws on purpose: its message says what was wrong, where, and what to do. */
export class DomainError extends Error {
  override name = 'DomainError';

  /**
   * @param kind what the caller can do about it
   * @param message shown to users as it stands, so it holds no secret and no prompt or response text
   * @param options.cause the error that led to this one; logged, never sent over the wire
   */
  constructor(
    readonly kind: ErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
