import { setTimeout as sleep } from 'node:timers/promises';
import { status as Status, type StatusObject } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { fromStatus } from '@surefoot/service';
import type { ModelIdentity, Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { packMessages } from './pack';
import type { Answer, Connection, ScorerDescription, ScoreStream } from './scorer-kind';

const describeMs = 5_000;
const firstBackoffMs = 250;
const lastBackoffMs = 5_000;
/** Most rollouts unanswered at one replica: enough to keep it busy, few enough to spread evenly. */
const creditWindow = 512;

/** How long after its time to live a rollout must be answered, milliseconds. */
const silenceGraceMs = 5_000;

/** Statuses of a stream after which sending the same again elsewhere would end the same way. */
const hopeless = new Set([
  Status.INVALID_ARGUMENT,
  Status.UNIMPLEMENTED,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.FAILED_PRECONDITION,
  Status.RESOURCE_EXHAUSTED,
]);

/** A rollout on its way. */
export interface Item {
  /** With the pool's own id, which is unique whatever ids the caller uses, and a time to live. */
  rollout: Rollout;
}

/** What a replica tells its pool. */
export interface ReplicaEvents<Score, I extends Item> {
  /** Throws failed_precondition where this replica must not be used. */
  onDescribed(address: string, description: ScorerDescription): void;
  /** The address will never do, however often it is tried. */
  onUnfit(error: DomainError): void;
  onAnswer(item: I, answer: Answer<Score>, model: ModelIdentity | undefined): void;
  /** An answer that belongs to no rollout in flight. */
  onStray(): void;
  onTooLarge(item: I, limitBytes: number): void;
  /** The stream has died; `error` is set where another try would not help. */
  onLost(items: I[], error: Error | undefined): void;
  /** It has become usable, has room again, or has stopped being usable. */
  onChange(): void;
  /** It has been retired and has answered everything. */
  onEnded(): void;
}

/** One address of a pool, with its one stream. */
export interface Replica<I extends Item> {
  readonly address: string;
  /** True while its stream is open and takes rollouts. */
  usable(): boolean;
  outstanding(): number;
  /** How many more rollouts it may get now. */
  room(): number;
  /** @returns how many were written to the stream; the others were too large */
  send(items: I[]): number;
  cancel(items: I[]): void;
  /** Gives the stream up as dead if a rollout's time to live is long over and nothing has been said about it. */
  abandonIfSilent(): void;
  /** Why it is not usable, where it is not. */
  problem(): string | undefined;
  /** Sends nothing more, and ends when everything is answered. */
  retire(): void;
  close(): void;
}

/**
 * Keeps one stream open to one address: describe, stream, and anew after a wait that doubles from 250 ms to 5 s.
 *
 * Rollouts in flight when a stream dies are handed back through `onLost`; what a dead stream still says is not heard.
 */
export function createReplica<Score, I extends Item>(
  address: string,
  connect: (address: string) => Connection<Score>,
  events: ReplicaEvents<Score, I>,
): Replica<I> {
  const inFlight = new Map<string, { item: I; sentAt: number }>();
  let stream: ScoreStream<Score> | undefined;
  let description: ScorerDescription | undefined;
  let isBlocked = false;
  let problem: string | undefined = `${address}: not connected yet`;
  let isRetired = false;
  const closed = new AbortController();

  void keepConnected();

  async function keepConnected(): Promise<void> {
    let backoffMs = firstBackoffMs;
    while (!closed.signal.aborted) {
      const connection = connect(address);
      try {
        description = await connection.describe(describeMs);
        if (closed.signal.aborted) return;
        events.onDescribed(address, description);
        if (await runStream(connection)) backoffMs = firstBackoffMs;
      } catch (error) {
        problem = (error as Error).message;
        if (error instanceof DomainError && error.kind === 'failed_precondition') events.onUnfit(error);
        events.onChange();
      } finally {
        connection.close();
      }
      if (isRetired) break;
      await sleep(backoffMs, undefined, { signal: closed.signal }).catch(() => undefined);
      backoffMs = Math.min(2 * backoffMs, lastBackoffMs);
    }
    if (isRetired) events.onEnded();
  }

  /** @returns true if the stream was of any use */
  async function runStream(connection: Connection<Score>): Promise<boolean> {
    let answered = false;
    const current = connection.open();
    current.onAnswers((answers, model) => {
      if (current !== stream) return;
      answered = true;
      for (const answer of answers) receive(answer, model);
      if (isRetired && inFlight.size === 0) current.call.end();
      events.onChange();
    });
    current.call.on('drain', () => {
      isBlocked = false;
      events.onChange();
    });
    // The status says the same; without a listener the error would end the process.
    current.call.on('error', () => undefined);
    const ended = new Promise<StatusObject>((resolve) => current.call.on('status', resolve));
    stream = current;
    isBlocked = false;
    problem = undefined;
    events.onChange();
    const status = await ended;
    if (stream === current) lose(status);
    return answered;
  }

  function receive(answer: Answer<Score>, model: ModelIdentity | undefined): void {
    const entry = inFlight.get(answer.id);
    if (!entry) return events.onStray();
    inFlight.delete(answer.id);
    events.onAnswer(entry.item, answer, model);
  }

  function lose(status: Pick<StatusObject, 'code' | 'details'>): void {
    stream = undefined;
    const error = fromStatus(status, address);
    problem = status.code === Status.OK ? `${address}: the stream has ended` : error.message;
    const items = [...inFlight.values()].map(({ item }) => item);
    inFlight.clear();
    events.onLost(items, hopeless.has(status.code) ? error : undefined);
    events.onChange();
  }

  function write(rollouts: Rollout[], cancelIds: string[]): void {
    if (stream && !stream.write(rollouts, cancelIds)) isBlocked = true;
  }

  const usable = () => stream !== undefined && !isRetired;
  return {
    address,
    usable,
    outstanding: () => inFlight.size,
    room: () => {
      if (!usable() || isBlocked || !description) return 0;
      return Math.min(creditWindow, description.limits.maxOutstandingRollouts) - inFlight.size;
    },
    send: (items) => {
      const { limits } = description!;
      const { messages, tooLarge } = packMessages(items, limits);
      const sentAt = performance.now();
      for (const message of messages) {
        for (const item of message) inFlight.set(item.rollout.id, { item, sentAt });
        write(
          message.map(({ rollout }) => rollout),
          [],
        );
      }
      for (const item of tooLarge) events.onTooLarge(item, limits.maxMessageBytes);
      return items.length - tooLarge.length;
    },
    cancel: (items) => {
      const ids = items.map(({ rollout }) => rollout.id).filter((id) => inFlight.has(id));
      if (ids.length > 0) write([], ids);
    },
    abandonIfSilent: () => {
      const [oldest] = inFlight.values();
      if (!oldest || performance.now() < oldest.sentAt + oldest.item.rollout.ttlMs + silenceGraceMs) return;
      const dying = stream;
      lose({ code: Status.UNAVAILABLE, details: 'it answers nothing although its connection is open' });
      dying?.call.cancel();
    },
    problem: () => (usable() ? undefined : problem),
    retire: () => {
      isRetired = true;
      if (!stream) closed.abort();
      else if (inFlight.size === 0) stream.call.end();
    },
    close: () => {
      closed.abort();
      stream?.call.cancel();
    },
  };
}
