import { DomainError } from '@surefoot/errors';
import { Transient } from './patience';

const busy = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * What a status other than success means.
 *
 * @param subject what was asked for: the repository with its revision, or one of its files
 * @param settings.hasToken whether a token was sent
 */
export function refusal(
  response: Response,
  subject: string,
  { endpoint, hasToken }: { endpoint: string; hasToken: boolean },
): Error {
  const { status, headers } = response;
  const host = new URL(endpoint).host;
  if (busy.has(status)) return new Transient(`${host} answers with status ${status}`, retryAfterMs(headers));
  const reason = headers.get('x-error-code');
  if (reason === 'RevisionNotFound')
    return new DomainError('not_found', `${host} has no such revision of it: ${subject}; give another --revision`);
  if (reason === 'GatedRepo' || status === 403)
    return new DomainError(
      'failed_precondition',
      `${host} does not open ${subject}: ask for access on ${endpoint}/${subject.split(' ')[0]} and set HF_TOKEN to a token ` +
        `of the account that has it${hasToken ? ' (the token that was sent does not)' : ''}`,
    );
  if (status === 401)
    return new DomainError(
      'failed_precondition',
      hasToken
        ? `${host} does not open ${subject}: it does not exist, or the token that was sent has expired or may not read it`
        : `${host} does not open ${subject}: it does not exist, or it is private: set HF_TOKEN to a token that may read it`,
    );
  if (status === 404 || status === 410)
    return new DomainError('not_found', `${host} has no ${subject}: check its name and --revision`);
  return new DomainError('unavailable', `${host} answers with status ${status} to a request for ${subject}`);
}

function retryAfterMs(headers: Headers): number {
  const seconds = Number(headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
