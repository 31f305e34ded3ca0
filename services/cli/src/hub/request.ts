import { DomainError } from '@surefoot/errors';
import type { HubSettings } from './environment';
import { interrupted, Transient } from './patience';
import { refusal } from './refusal';
import { createWatchdog } from './watchdog';

/** A request to a hub. */
export interface HubRequest {
  url: string;
  /** What is asked for, for errors: the repository with its revision, or one of its files. */
  subject: string;
  headers?: Record<string, string>;
  /** Statuses besides success that `read` wants to see. */
  accept?: number[];
  signal: AbortSignal;
}

/** An answer with its body, a part at a time. */
export interface HubAnswer {
  status: number;
  headers: Headers;
  parts(): AsyncIterable<Uint8Array>;
}

const maxRedirects = 10;

/**
 * Makes one request and hands its answer to `read`. The token goes to the endpoint alone, whatever it redirects to.
 *
 * @throws Transient where the connection fails, is cut or brings nothing; DomainError as `refusal`, and unavailable for endless
 *   redirects; Interrupted where the signal is aborted; whatever `read` throws
 */
export async function request<Result>(
  { endpoint, token, patience }: HubSettings,
  { url, subject, headers = {}, accept = [], signal }: HubRequest,
  read: (answer: HubAnswer) => Promise<Result>,
): Promise<Result> {
  const watchdog = createWatchdog(patience, signal);
  try {
    let target = new URL(url);
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const isEndpoint = target.origin === new URL(endpoint).origin;
      const sent = { ...headers, ...(token && isEndpoint && { authorization: `Bearer ${token}` }) };
      const response = await fetch(target, { headers: sent, redirect: 'manual', signal: watchdog.signal });
      watchdog.feed(patience.stallBytes);
      const location = response.headers.get('location');
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        target = redirected(location, target);
        continue;
      }
      if (!response.ok && !accept.includes(response.status)) {
        await response.body?.cancel();
        throw refusal(response, subject, { endpoint, hasToken: token !== undefined });
      }
      return await read({
        status: response.status,
        headers: response.headers,
        parts: () => fed(response, watchdog.feed),
      });
    }
    throw new DomainError('unavailable', `${target.host} redirects more than ${maxRedirects} times for ${subject}`);
  } catch (error) {
    if (signal.aborted) throw interrupted();
    if (watchdog.hasBitten())
      throw new Transient(`${new URL(url).host} brings no data for ${patience.stallMs / 1000} s`, 0, { cause: error });
    throw networkError(error, new URL(url).host);
  } finally {
    watchdog.stop();
  }
}

function redirected(location: string, from: URL): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (!target || !/^https?:$/.test(target.protocol))
    throw new DomainError('unavailable', `${from.host} redirects to something that is no web address`);
  return target;
}

async function* fed(response: Response, feed: (bytes: number) => void): AsyncIterable<Uint8Array> {
  if (!response.body) return;
  for await (const part of response.body) {
    feed((part as Uint8Array).byteLength);
    yield part as Uint8Array;
  }
}

/** Fetch says "fetch failed" or "terminated" and keeps the reason in the cause. */
function networkError(error: unknown, host: string): unknown {
  if ((error as Error)?.name !== 'TypeError') return error;
  const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
  const code = cause?.code ?? '';
  if (/CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/.test(code))
    return new DomainError('unavailable', `${host} does not prove who it is (${code}); check HF_ENDPOINT`, {
      cause: error,
    });
  if (cause !== undefined)
    return new Transient(`the connection to ${host} failed (${code || cause?.message})`, 0, { cause: error });
  return error;
}
