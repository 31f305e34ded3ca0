import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  credentials,
  Metadata,
  status as Status,
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import { fromStatus } from './status';

/** Sources and reasons: README, "What every client sets". */
const clientOptions: ClientOptions = {
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
};

/** A client of a generated class with the options that every Surefoot client has. */
export function createClient<C extends Client>(
  Class: new (address: string, credentials: ChannelCredentials, options: ClientOptions) => C,
  address: string,
): C {
  return new Class(address, credentials.createInsecure(), clientOptions);
}

/** How one call is made. */
export interface CallSettings {
  /** Milliseconds for everything, retries included. */
  deadlineMs: number;
  /** True for methods that the contract marks idempotent: UNAVAILABLE and RESOURCE_EXHAUSTED are then tried again. */
  idempotent?: boolean;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Passed on as `x-request-id`. */
  requestId?: string;
}

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;
type ServerStreaming<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
) => ClientReadableStream<Response>;
// A streaming method would also pass for a unary one, since it takes fewer arguments; so it is asked first.
type TypesOf<Method> =
  Method extends ServerStreaming<infer Request, infer Response>
    ? { request: Request; response: Response }
    : Method extends Unary<infer Request, infer Response>
      ? { request: Request; response: Response }
      : never;
type RequestOf<Method> = TypesOf<Method>['request'];
type ResponseOf<Method> = TypesOf<Method>['response'];

const firstBackoffMs = 250;
const lastBackoffMs = 5_000;

/**
 * Calls a unary method: `await callUnary(client, 'getJudge', {}, { deadlineMs: 5000, idempotent: true })`.
 *
 * @throws the DomainError of the status (unavailable also for a deadline that passed), AbortError when cancelled
 */
export async function callUnary<C extends Client, Name extends keyof C & string>(
  client: C,
  name: Name,
  request: RequestOf<C[Name]>,
  settings: CallSettings,
): Promise<ResponseOf<C[Name]>> {
  const deadline = Date.now() + settings.deadlineMs;
  for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(2 * backoffMs, lastBackoffMs)) {
    try {
      return await callOnce(client, name, request, settings, deadline);
    } catch (error) {
      const waitMs = retryAfterMs(error as ServiceError, backoffMs);
      const retry = settings.idempotent && waitMs !== undefined && Date.now() + waitMs < deadline;
      if (!retry) throw fromStatus(error as ServiceError, addressOf(client));
      await sleep(waitMs, undefined, { signal: settings.signal });
    }
  }
}

/**
 * Calls a server-streaming method and yields its messages; leaving the loop cancels the call.
 *
 * @throws as `callUnary`, in the loop
 */
export async function* callServerStream<C extends Client, Name extends keyof C & string>(
  client: C,
  name: Name,
  request: RequestOf<C[Name]>,
  settings: Omit<CallSettings, 'idempotent'>,
): AsyncGenerator<ResponseOf<C[Name]>> {
  settings.signal?.throwIfAborted();
  const method = client[name] as ServerStreaming<unknown, ResponseOf<C[Name]>>;
  const stream = method.call(client, request, metadata(settings), { deadline: Date.now() + settings.deadlineMs });
  const cancel = () => stream.cancel();
  settings.signal?.addEventListener('abort', cancel);
  try {
    for await (const message of stream) yield message as ResponseOf<C[Name]>;
  } catch (error) {
    throw fromStatus(error as ServiceError, addressOf(client));
  } finally {
    settings.signal?.removeEventListener('abort', cancel);
    stream.on('error', () => undefined).cancel();
  }
}

function callOnce<C extends Client, Name extends keyof C>(
  client: C,
  name: Name,
  request: RequestOf<C[Name]>,
  settings: CallSettings,
  deadline: number,
): Promise<ResponseOf<C[Name]>> {
  return new Promise((resolve, reject) => {
    settings.signal?.throwIfAborted();
    const method = client[name] as Unary<unknown, ResponseOf<C[Name]>>;
    const call = method.call(client, request, metadata(settings), { deadline }, (error, response) => {
      settings.signal?.removeEventListener('abort', cancel);
      if (error) reject(error);
      else resolve(response);
    });
    const cancel = () => call.cancel();
    settings.signal?.addEventListener('abort', cancel);
  });
}

function addressOf(client: Client): string {
  return client
    .getChannel()
    .getTarget()
    .replace(/^[a-z]+:(\/\/\/)?/, '');
}

function metadata({ requestId }: Pick<CallSettings, 'requestId'>): Metadata {
  const result = new Metadata();
  if (requestId !== undefined) result.set('x-request-id', requestId);
  return result;
}

/** Milliseconds until another try, by the server's own word where it gave one; undefined where trying cannot help. */
function retryAfterMs(error: ServiceError, backoffMs: number): number | undefined {
  if (error.code !== Status.UNAVAILABLE && error.code !== Status.RESOURCE_EXHAUSTED) return undefined;
  const pushback = Number(error.metadata?.get('grpc-retry-pushback-ms')[0] ?? NaN);
  if (pushback < 0) return undefined;
  return Number.isNaN(pushback) ? randomInt(backoffMs / 2, backoffMs) : pushback;
}
