import { setTimeout as sleep } from 'node:timers/promises';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  Client,
  credentials,
  makeGenericClientConstructor,
  status as Status,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import {
  JudgeClient,
  JudgeService,
  type EvaluateRequest,
  type EvaluateResponse,
} from '@surefoot/proto/surefoot/judge/v1/judge';
import { PolicyTrainerClient, PolicyTrainerService } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { service as healthDefinition } from 'grpc-health-check';
import { pino } from 'pino';
import {
  callServerStream,
  callUnary,
  createClient,
  implement,
  maxMessageBytes,
  serve,
  type BidiStreamingHandler,
  type Handlers,
  type RunningServer,
} from './index';

const logger = pino({ level: 'silent' });
const deadlineMs = 5_000;
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

type JudgeHandlers = Handlers<typeof JudgeService>;

const echo: BidiStreamingHandler<EvaluateRequest, EvaluateResponse> = async (requests, send) => {
  for await (const request of requests)
    await send({
      judgements: request.rollouts.map(({ id }) => ({ id, status: undefined, score: 1 })),
      model: undefined,
    });
};

async function start(
  handlers: Partial<JudgeHandlers> = {},
  options: { address?: string; drainMs?: number; ready?: Promise<unknown> } = {},
): Promise<{ server: RunningServer; client: JudgeClient }> {
  const server = await serve({
    services: [
      implement(JudgeService, {
        evaluate: echo,
        evaluateBatch: () => ({ judgements: [], model: undefined }),
        getJudge: () => ({ model: undefined, tokenizerDigest: 'abc', limits: undefined }),
        ...handlers,
      }),
    ],
    address: '127.0.0.1:0',
    logger,
    drainMs: 200,
    ...options,
  });
  const client = createClient(JudgeClient, server.address);
  opened.push(client, server);
  return { server, client };
}

const rollout = (id: string, response = 'yes') => ({
  id,
  prompt: { $case: 'text' as const, value: 'is it good ?' },
  response,
  truncated: false,
  tokenIds: undefined,
  ttlMs: 0,
});

type HealthClient = Client & {
  check(
    request: { service: string },
    callback: (error: ServiceError | null, response: { status: string }) => void,
  ): void;
  watch(request: { service: string }): AsyncIterable<{ status: string }>;
};
function healthClient(address: string): HealthClient {
  const Class = makeGenericClientConstructor(healthDefinition as never, 'Health');
  const client = new Class(address, credentials.createInsecure()) as unknown as HealthClient;
  opened.push(client);
  return client;
}
const check = (client: HealthClient, service = '') =>
  new Promise<string>((resolve, reject) =>
    client.check({ service }, (error, response) => (error ? reject(error) : resolve(response.status))),
  );

/** The status with which a stream ended and what it said before. */
async function drained(stream: ReturnType<JudgeClient['evaluate']>) {
  const messages: EvaluateResponse[] = [];
  stream.on('data', (message: EvaluateResponse) => messages.push(message)).on('error', () => undefined);
  const status = await new Promise<StatusObject>((resolve) => stream.on('status', resolve));
  return { messages, code: status.code, details: status.details };
}

describe('statuses', () => {
  test.each([
    ['invalid_argument', Status.INVALID_ARGUMENT],
    ['failed_precondition', Status.FAILED_PRECONDITION],
    ['diverged', Status.INTERNAL],
  ] as const)('a DomainError %s keeps its message', async (kind, code) => {
    const { client } = await start({
      getJudge: () => {
        throw new DomainError(kind, 'what and where');
      },
    });
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toMatchObject({
      cause: { code, details: 'what and where' },
    });
  });

  test('any other error becomes INTERNAL without its text, and the server lives on', async () => {
    let calls = 0;
    const { client } = await start({
      getJudge: async () => {
        calls += 1;
        if (calls === 1) throw new Error('secret');
        return { model: undefined, tokenizerDigest: '', limits: undefined };
      },
    });
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toThrow(
      /internal error: see the log of the service \(INTERNAL\)$/,
    );
    await callUnary(client, 'getJudge', {}, { deadlineMs });
  });

  test('details of 200 KB with a lone surrogate arrive shortened and well-formed', async () => {
    const { client } = await start({
      getJudge: () => {
        throw new DomainError('invalid_argument', `\uD800${'é'.repeat(100_000)}`);
      },
    });
    const error = (await callUnary(client, 'getJudge', {}, { deadlineMs }).catch((e: unknown) => e)) as DomainError;
    const { details } = error.cause as ServiceError;
    expect(Buffer.byteLength(details)).toBeLessThanOrEqual(1024);
    expect(details.slice(0, 2)).toBe('\uFFFDé');
  });

  test('a handler of a stream that throws at once or between messages ends that stream alone', async () => {
    const { client } = await start({
      evaluate: async (requests, send, context) => {
        if (context.requestId === 'at-once') throw new Error('bug');
        for await (const request of requests) {
          await send({ judgements: [], model: undefined });
          if (request.rollouts.length > 0) throw new DomainError('invalid_argument', 'too many');
        }
      },
    });
    const stream = client.evaluate();
    stream.write({ rollouts: [], cancelIds: [] });
    stream.write({ rollouts: [rollout('a')], cancelIds: [] });
    const { messages, code, details } = await drained(stream);
    expect([messages.length, code, details]).toEqual([2, Status.INVALID_ARGUMENT, 'too many']);
    await callUnary(client, 'getJudge', {}, { deadlineMs });
  });

  test('bytes that are no request are INVALID_ARGUMENT, for unary calls and streams', async () => {
    const { server, client } = await start();
    const raw = new Client(server.address, credentials.createInsecure());
    opened.push(raw);
    const bytes = (value: Buffer) => value;
    const bad = Buffer.from([0x0a, 0xff, 0xff]);
    const error = await new Promise((resolve) =>
      raw.makeUnaryRequest(JudgeService.evaluateBatch.path, bytes, bytes, bad, resolve),
    );
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT });
    const stream = raw.makeBidiStreamRequest(JudgeService.evaluate.path, bytes, bytes);
    stream.write(bad);
    expect(await drained(stream as never)).toMatchObject({ code: Status.INVALID_ARGUMENT });
    await callUnary(client, 'getJudge', {}, { deadlineMs });
  });

  test('a message over 1 MiB is RESOURCE_EXHAUSTED and the server lives on', async () => {
    const { client } = await start();
    const request = { rollouts: [rollout('a', 'x'.repeat(maxMessageBytes))] };
    await expect(callUnary(client, 'evaluateBatch', request, { deadlineMs })).rejects.toMatchObject({
      kind: 'resource_exhausted',
    });
    await callUnary(client, 'getJudge', {}, { deadlineMs });
  });
});

describe('calls', () => {
  test('a server-streaming call yields its messages and then its error', async () => {
    const handlers: Partial<Handlers<typeof PolicyTrainerService>> = {
      watchRun: async ({ fromIteration }, send) => {
        for (let iteration = fromIteration; iteration < 3; iteration += 1)
          await send({ iteration, metrics: {}, run: undefined });
        throw new DomainError('not_found', 'no such run');
      },
    };
    const server = await serve({
      services: [implement(PolicyTrainerService, handlers as Handlers<typeof PolicyTrainerService>)],
      address: '127.0.0.1:0',
      logger,
      drainMs: 100,
    });
    const client = createClient(PolicyTrainerClient, server.address);
    opened.push(client, server);
    const seen: number[] = [];
    const watch = async () => {
      const request = { runId: 'a', fromIteration: 1 };
      for await (const { iteration } of callServerStream(client, 'watchRun', request, { deadlineMs }))
        seen.push(iteration);
    };
    await expect(watch()).rejects.toMatchObject({ kind: 'not_found' });
    expect(seen).toEqual([1, 2]);
  });

  test('an address where nobody listens is named, with what to do', async () => {
    const { server } = await start();
    await server.close();
    const address = `127.0.0.1:${server.port}`;
    const client = createClient(JudgeClient, address);
    opened.push(client);
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toMatchObject({
      kind: 'unavailable',
      message: `cannot reach ${address}: connection refused; is the service running?`,
    });
  });

  test('a deadline that passes aborts the handler and is `unavailable` for the caller', async () => {
    const aborted = deferred<void>();
    let leftMs: number | undefined;
    const { client } = await start({
      getJudge: async (_request, { signal, deadline }) => {
        leftMs = deadline - Date.now();
        if (!signal.aborted) await once(signal, 'abort');
        aborted.resolve();
        return { model: undefined, tokenizerDigest: '', limits: undefined };
      },
    });
    let patienceMs = 50;
    // On a busy machine a deadline may pass before the handler is called.
    while (leftMs === undefined)
      await expect(callUnary(client, 'getJudge', {}, { deadlineMs: (patienceMs *= 2) })).rejects.toMatchObject({
        kind: 'unavailable',
      });
    expect(leftMs).toBeLessThanOrEqual(patienceMs);
    await aborted.promise;
  });

  test('a client that cancels aborts the handler of its stream', async () => {
    const aborted = deferred<void>();
    const { client } = await start({
      evaluate: async (requests, send, { signal }) => {
        signal.addEventListener('abort', () => aborted.resolve());
        await echo(requests, send, { signal } as never);
      },
    });
    const stream = client.evaluate().on('error', () => undefined);
    stream.write({ rollouts: [], cancelIds: [] });
    await once(stream, 'data');
    stream.cancel();
    await aborted.promise;
  });

  test('an idempotent call is tried again while the server is unavailable, another is not', async () => {
    let calls = 0;
    const { client } = await start({
      getJudge: () => {
        calls += 1;
        if (calls < 3) throw new DomainError('resource_exhausted', 'full');
        return { model: undefined, tokenizerDigest: '', limits: undefined };
      },
    });
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toMatchObject({
      kind: 'resource_exhausted',
    });
    await callUnary(client, 'getJudge', {}, { deadlineMs, idempotent: true });
    expect(calls).toBe(3);
  });

  test('a stream that nobody reads stops its sender', async () => {
    let sent = 0;
    const { server } = await start({
      evaluate: async (_requests, send) => {
        for (; sent < 10_000; sent += 1)
          await send({ judgements: [{ id: 'x'.repeat(10_000), status: undefined, score: 0 }], model: undefined });
      },
    });
    // Plain HTTP/2, since a grpc-js client reads ahead without bound.
    const session = http2.connect(`http://${server.address}`);
    opened.push({ close: () => session.destroy() });
    session.request({
      ':method': 'POST',
      ':path': JudgeService.evaluate.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    expect(await standstill(() => sent)).toBeLessThan(100);
  });

  test('a stream whose handler does not ask is not read', async () => {
    const { client } = await start({
      evaluate: async (_requests, _send, { signal }) => void (await once(signal, 'abort')),
    });
    const stream = client.evaluate().on('error', () => undefined);
    let acknowledged = 0;
    for (let i = 0; i < 500; i += 1)
      stream.write({ rollouts: [rollout('a', 'x'.repeat(60_000))], cancelIds: [] }, () => (acknowledged += 1));
    expect(await standstill(() => acknowledged)).toBeLessThan(200);
    stream.cancel();
  });
});

describe('the life of a server', () => {
  test('until it is ready, health says NOT_SERVING and calls get UNAVAILABLE', async () => {
    const gate = deferred<void>();
    const port = await freePort();
    const starting = serve({
      services: [implement(JudgeService, { evaluate: echo } as JudgeHandlers)],
      address: `127.0.0.1:${port}`,
      logger,
      drainMs: 100,
      ready: gate.promise,
    });
    const client = createClient(JudgeClient, `127.0.0.1:${port}`);
    opened.push(client);
    const health = healthClient(`127.0.0.1:${port}`);
    expect(await check(health)).toBe('NOT_SERVING');
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toMatchObject({ kind: 'unavailable' });
    gate.resolve();
    opened.push(await starting);
    expect(await check(health, 'surefoot.judge.v1.Judge')).toBe('SERVING');
    await expect(check(health, 'no.such.Service')).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });

  test('when what it waits for fails, the error comes out and the port is free', async () => {
    const gate = deferred<void>();
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const starting = start({}, { address, ready: gate.promise }).catch((error: unknown) => error);
    (await connected(port)).destroy();
    gate.reject(new DomainError('not_found', 'no model'));
    expect(await starting).toMatchObject({ message: 'no model' });
    const server = await serve({ services: [], address, logger, drainMs: 10 });
    await server.close();
  });

  test('a port in use is one line that names the address', async () => {
    const { server } = await start();
    await expect(serve({ services: [], address: server.address, logger, drainMs: 10 })).rejects.toThrow(
      `cannot listen on ${server.address}: another process uses that port`,
    );
  });

  test('draining answers what was accepted, refuses what is new, says NOT_SERVING, ends streams and frees the port', async () => {
    const read = deferred<void>();
    const gate = deferred<void>();
    const { server, client } = await start(
      {
        evaluate: async (requests, send) => {
          const accepted: EvaluateRequest[] = [];
          for await (const request of requests) {
            accepted.push(request);
            read.resolve();
          }
          await gate.promise;
          for (const { rollouts } of accepted)
            await send({
              judgements: rollouts.map(({ id }) => ({ id, status: undefined, score: 2 })),
              model: undefined,
            });
        },
      },
      { drainMs: 5_000 },
    );
    const health = healthClient(server.address);
    const watched: string[] = [];
    const isWatched = deferred<void>();
    const watching = (async () => {
      for await (const { status } of health.watch({ service: '' })) {
        watched.push(status);
        isWatched.resolve();
      }
    })();
    const stream = client.evaluate();
    const ended = drained(stream);
    stream.write({ rollouts: [rollout('a'), rollout('b')], cancelIds: [] });
    await Promise.all([read.promise, isWatched.promise]);

    const closing = server.close();
    expect(await check(health)).toBe('NOT_SERVING');
    await expect(callUnary(client, 'getJudge', {}, { deadlineMs })).rejects.toMatchObject({ kind: 'unavailable' });
    gate.resolve();
    const { messages, code } = await ended;
    expect(messages.flatMap(({ judgements }) => judgements.map(({ id }) => id))).toEqual(['a', 'b']);
    expect(code).toBe(Status.UNAVAILABLE);
    await closing;
    await watching;
    expect(watched).toEqual(['SERVING', 'NOT_SERVING']);
    await expect(connected(server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a stream that never ends is cut when the drain time is over', async () => {
    const begun = deferred<void>();
    const { server, client } = await start({
      evaluate: async (_requests, _send, { signal }) => {
        begun.resolve();
        await once(signal, 'abort');
      },
    });
    const ended = drained(client.evaluate());
    await begun.promise;
    await server.close();
    expect((await ended).code).toBe(Status.UNAVAILABLE);
  });

  test('a connection that says nothing does not hold a shutdown up', async () => {
    const { server } = await start({}, { drainMs: 60_000 });
    const socket = await connected(server.port);
    await server.close();
    if (!socket.closed) await once(socket, 'close');
  });
});

async function connected(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function freePort(): Promise<number> {
  const server = await serve({ services: [], address: '127.0.0.1:0', logger, drainMs: 10 });
  await server.close();
  return server.port;
}

function deferred<Value>() {
  let resolve!: (value: Value) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Value>((settle, fail) => ([resolve, reject] = [settle, fail]));
  return { promise, resolve, reject };
}

/** What a count stands at when it has begun and grows no more. */
async function standstill(count: () => number): Promise<number> {
  let before = 0;
  do {
    before = count();
    await sleep(150);
  } while (before === 0 || before !== count());
  return before;
}
