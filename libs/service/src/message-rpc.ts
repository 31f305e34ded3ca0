import type { MessagePort, TransferListItem, Worker } from 'node:worker_threads';
import { DomainError, type ErrorKind } from '@surefoot/errors';

/** Functions that the other thread may call, each with one argument that can be cloned. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any argument type must fit, and be inferred at the call
export type Procedures = Record<string, (input: any) => unknown>;

/** Calls a function of the other thread; `transfer` moves buffers instead of copying them. */
export type Call<Remote extends Procedures> = <Name extends keyof Remote & string>(
  name: Name,
  input: Parameters<Remote[Name]>[0],
  transfer?: TransferListItem[],
) => Promise<Awaited<ReturnType<Remote[Name]>>>;

type Message =
  | { call: number; name: string; input: unknown }
  | { answer: number; value: unknown }
  | { answer: number; error: { kind?: ErrorKind; message: string; stack?: string } };

const transfers = new WeakMap<object, TransferListItem[]>();

/** Marks the result of a procedure so that these buffers are moved to the caller and not copied. */
export function transferring<Value extends object>(value: Value, buffers: TransferListItem[]): Value {
  transfers.set(value, buffers);
  return value;
}

/**
 * Promises over a message port, in both directions: serves `procedures` and calls those of the other side. Errors keep their
 * message, their stack and, for a DomainError, their kind.
 */
export function connectPort<Remote extends Procedures>(
  port: MessagePort | Worker,
  procedures: Procedures,
): { call: Call<Remote>; fail: (error: Error) => void } {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let calls = 0;
  let failure: Error | undefined;

  port.on('message', (message: Message) => {
    if ('call' in message) return void answer(message);
    const waiter = waiting.get(message.answer);
    waiting.delete(message.answer);
    if ('error' in message) waiter?.reject(toError(message.error));
    else waiter?.resolve(message.value as never);
  });

  async function answer({ call, name, input }: Extract<Message, { call: number }>): Promise<void> {
    try {
      const procedure = procedures[name];
      if (!procedure) throw new Error(`the other thread called ${name}, which does not exist`);
      const value = await procedure(input);
      const transfer = typeof value === 'object' && value !== null ? transfers.get(value) : undefined;
      port.postMessage({ answer: call, value } satisfies Message, transfer ?? []);
    } catch (error) {
      port.postMessage({ answer: call, error: fromError(error) } satisfies Message);
    }
  }

  return {
    call: (name, input, transfer = []) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure);
        calls += 1;
        waiting.set(calls, { resolve, reject });
        port.postMessage({ call: calls, name, input } satisfies Message, transfer);
      }),
    fail: (error) => {
      failure = error;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    },
  };
}

function fromError(error: unknown) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { message, stack, ...(error instanceof DomainError && { kind: error.kind }) };
}

function toError({ kind, message, stack }: { kind?: ErrorKind; message: string; stack?: string }): Error {
  const error = kind ? new DomainError(kind, message) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
