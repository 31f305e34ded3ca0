import { once } from 'node:events';
import type {
  MethodDefinition,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedHandleCall,
  UntypedServiceImplementation,
  sendUnaryData,
} from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { runCall, type CallContext, type ServerScope } from './call';

/** Sends one message of a stream; resolves when there is room for another, rejects when the client has left. */
export type Send<Response> = (response: Response) => Promise<void>;

/** Answers one request. */
export type UnaryHandler<Request, Response> = (request: Request, context: CallContext) => Promise<Response> | Response;

/** Answers one request with a stream, which ends when the promise does. */
export type ServerStreamingHandler<Request, Response> = (
  request: Request,
  send: Send<Response>,
  context: CallContext,
) => Promise<void>;

/** Answers a stream with a stream. The requests end when the client half-closes or leaves, or the server drains. */
export type BidiStreamingHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  send: Send<Response>,
  context: CallContext,
) => Promise<void>;

type HandlerOf<Method> = Method extends {
  requestStream: infer RequestStream;
  responseStream: infer ResponseStream;
  requestDeserialize: (bytes: Buffer) => infer Request;
  responseSerialize: (response: infer Response) => Buffer;
}
  ? [RequestStream, ResponseStream] extends [false, false]
    ? UnaryHandler<Request, Response>
    : [RequestStream, ResponseStream] extends [false, true]
      ? ServerStreamingHandler<Request, Response>
      : [RequestStream, ResponseStream] extends [true, true]
        ? BidiStreamingHandler<Request, Response>
        : never
  : never;

/** One handler for every method of a generated service definition. */
export type Handlers<Definition> = { [Name in keyof Definition]: HandlerOf<Definition[Name]> };

/** A service with its handlers, as `serve` takes it. */
export interface BoundService {
  definition: ServiceDefinition;
  handlers: Record<string, unknown>;
  always?: boolean;
}

/** Joins a generated service definition with handlers, which the compiler checks against it. */
export function implement<Definition extends ServiceDefinition>(
  definition: Definition,
  handlers: Handlers<Definition>,
): BoundService {
  return { definition, handlers };
}

/**
 * A service as grpc-js takes it. Requests arrive as bytes and are decoded when the handler is ready for them: a stream's
 * read-ahead then costs its bytes and not the many times larger objects, and what does not decode is the client's mistake.
 */
export function wrapService(
  scope: ServerScope,
  { definition, handlers, always = false }: BoundService,
): { definition: ServiceDefinition; implementation: UntypedServiceImplementation } {
  const raw: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(definition)) {
    raw[name] = {
      ...method,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: serializer(scope, method),
    };
    const bind = method.requestStream ? bidiStreaming : method.responseStream ? serverStreaming : unary;
    implementation[name] = bind(scope, method, handlers[name] as never, always);
  }
  return { definition: raw, implementation };
}

type Method = MethodDefinition<unknown, unknown>;

function unary(scope: ServerScope, method: Method, handler: UnaryHandler<unknown, unknown>, always: boolean) {
  return (call: ServerUnaryCall<Buffer, unknown>, callback: sendUnaryData<unknown>) => {
    void runCall(scope, call, method.path, {
      always,
      work: async (context) => callback(null, await handler(decode(method, call.request), context)),
      fail: (status) => callback(status),
    });
  };
}

function serverStreaming(
  scope: ServerScope,
  method: Method,
  handler: ServerStreamingHandler<unknown, unknown>,
  always: boolean,
): UntypedHandleCall {
  return (call: ServerWritableStream<Buffer, unknown>) => {
    void runCall(scope, call, method.path, {
      always,
      work: async (context) => {
        await handler(decode(method, call.request), sender(call, context.signal), context);
        call.end();
      },
      fail: (status) => call.emit('error', status),
    });
  };
}

function bidiStreaming(
  scope: ServerScope,
  method: Method,
  handler: BidiStreamingHandler<unknown, unknown>,
  always: boolean,
): UntypedHandleCall {
  return (call: ServerDuplexStream<Buffer, unknown>) => {
    void runCall(scope, call, method.path, {
      always,
      work: async (context) => {
        await handler(incoming(call, method, context), sender(call, context.signal), context);
        if (context.draining.aborted && !call.readableEnded)
          throw new DomainError('unavailable', 'the server is shutting down: use another one');
        call.end();
      },
      fail: (status) => call.emit('error', status),
    });
  };
}

function decode(method: Method, bytes: Buffer): unknown {
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    throw new DomainError('invalid_argument', `the message is not a valid request of ${method.path}`, { cause: error });
  }
}

/** grpc-js ends a call whose response cannot be serialised, and says nothing: the log does. */
function serializer({ logger }: ServerScope, method: Method): Method['responseSerialize'] {
  return (response) => {
    try {
      return method.responseSerialize(response);
    } catch (error) {
      logger.error({ err: error, rpc: method.path }, 'a response could not be serialised');
      throw error;
    }
  };
}

function sender<Response>(
  call: ServerWritableStream<unknown, Response> | ServerDuplexStream<unknown, Response>,
  signal: AbortSignal,
): Send<Response> {
  let drained: Promise<unknown> | undefined;
  return async (response) => {
    signal.throwIfAborted();
    if (call.write(response)) return;
    drained ??= once(call, 'drain', { signal }).finally(() => (drained = undefined));
    await drained;
  };
}

/** The messages of a stream, read one at a time and only when asked for, until half-close or drain. */
async function* incoming(
  call: ServerDuplexStream<Buffer, unknown>,
  method: Method,
  { signal, draining }: CallContext,
): AsyncGenerator<unknown> {
  let wake = () => {};
  const onChange = () => wake();
  for (const event of ['readable', 'end', 'close']) call.on(event, onChange);
  for (const stop of [signal, draining]) stop.addEventListener('abort', onChange);
  try {
    while (!signal.aborted && !draining.aborted && !call.readableEnded && !call.destroyed) {
      const bytes = call.read() as Buffer | null;
      if (bytes !== null) yield decode(method, bytes);
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    signal.throwIfAborted();
  } finally {
    for (const event of ['readable', 'end', 'close']) call.off(event, onChange);
    for (const stop of [signal, draining]) stop.removeEventListener('abort', onChange);
  }
}
