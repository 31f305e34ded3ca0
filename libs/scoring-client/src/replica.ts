import { setTimeout as sleep } from 'node:timers/promises';
import { status as Status, type StatusObject } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { fromStatus } from '@surefoot/service';
import type { ModelIdentity, Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import type { Item } from './item';
import { packMessages } from './pack';
import type { Answer, Connection, ScorerDescription, ScoreStream } from './scorer-kind';
import type { Taker } from './share-out';

const describeMs = 5_000;
const firstBackoffMs = 250;
const lastBackoffMs = 5_000;
/** Most rollouts unanswered at one replica: enough to keep it busy, few enough to spread evenly. */
const creditWindow = 512;

/** Statuses of a stream after which sending the same again elsewhere would end the same way. */
const hopeless = new Set([
  Status.INVALID_ARGUMENT,
  Status.UNIMPLEMENTED,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.FAILED_PRECONDITION,
  Status.RESOURCE_EXHAUSTED,
]);

/** What a replica tells its pool. */
export interface ReplicaEvents<Score> {
  /** Throws failed_precondition where this replica must not be used. */
  onDescribed(address: string, description: ScorerDescription): void;
  /** The address will never do, however often it is tried. */
  onUnfit(error: DomainError): void;
  onAnswer(item: Item<Score>, answer: Answer<Score>, address: string, model: ModelIdentity | undefined): void;
  /** An answer that belongs to no rollout in flight. */
  onStray(): void;
  onTooLarge(item: Item<Score>, limits: ScorerLimits): void;
  /** The stream has died; `error` is set where another try would not help. */
  onLost(items: Item<Score>[], error: Error | undefined): void;
  /** It has become usable, has room again, or has stopped being usable. */
  onChange(): void;
  /** It has been retired and has answered everything. */
  onEnded(address: string): void;
}

/**
 * One address of a pool, with one stream that is kept open: describe, stream, and anew after a wait that doubles from
 * 250 ms to 5 s. Rollouts in flight when a stream dies are handed back; what a dead stream still says is not heard.
 */
export class Replica<Score> implements Taker {
  private readonly inFlight = new Map<string, Item<Score>>();
  private readonly closed = new AbortController();
  private stream: ScoreStream<Score> | undefined;
  private limits: ScorerLimits | undefined;
  /** When it last answered, or began to owe an answer. */
  private quietSince = 0;
  private isBlocked = false;
  private isRetired = false;
  private reason = 'not connected yet';

  constructor(
    private readonly address: string,
    private readonly connect: (address: string) => Connection<Score>,
    private readonly events: ReplicaEvents<Score>,
  ) {
    void this.keepConnected();
  }

  /** True while its stream is open and takes rollouts. */
  isUsable(): boolean {
    return this.stream !== undefined && !this.isRetired;
  }

  outstanding(): number {
    return this.inFlight.size;
  }

  room(): number {
    if (!this.isUsable() || this.isBlocked || !this.limits) return 0;
    return Math.min(creditWindow, this.limits.maxOutstandingRollouts) - this.inFlight.size;
  }

  /** Why it is not usable. */
  problem(): string {
    return this.reason.startsWith(this.address) ? this.reason : `${this.address}: ${this.reason}`;
  }

  /** @returns how many were written to the stream; the others were too large */
  send(items: Item<Score>[]): number {
    const limits = this.limits!;
    const { messages, tooLarge } = packMessages(items, limits);
    if (this.inFlight.size === 0) this.quietSince = performance.now();
    for (const message of messages) {
      for (const item of message) this.inFlight.set(item.rollout.id, item);
      const rollouts = message.map(({ rollout }) => rollout);
      this.write(rollouts, []);
    }
    for (const item of tooLarge) this.events.onTooLarge(item, limits);
    return items.length - tooLarge.length;
  }

  cancel(items: Item<Score>[]): void {
    const ids = items.map(({ rollout }) => rollout.id).filter((id) => this.inFlight.has(id));
    if (ids.length > 0) this.write([], ids);
  }

  /** Gives the stream up as dead if it owes answers and has given none for `silenceMs`. */
  abandonIfSilent(silenceMs: number): void {
    if (this.inFlight.size === 0 || performance.now() < this.quietSince + silenceMs) return;
    const silent = this.stream;
    this.lose({ code: Status.UNAVAILABLE, details: 'it answers nothing although its connection is open' });
    silent?.call.cancel();
  }

  /** Sends nothing more, and ends when everything is answered. */
  retire(): void {
    this.isRetired = true;
    if (!this.stream) this.closed.abort();
    else if (this.inFlight.size === 0) this.stream.call.end();
  }

  close(): void {
    this.closed.abort();
    this.stream?.call.cancel();
  }

  private async keepConnected(): Promise<void> {
    let backoffMs = firstBackoffMs;
    while (!this.closed.signal.aborted && !this.isRetired) {
      const connection = this.connect(this.address);
      try {
        const description = await connection.describe(describeMs);
        if (this.closed.signal.aborted) break;
        this.limits = description.limits;
        this.events.onDescribed(this.address, description);
        if (await this.useStream(connection.open())) backoffMs = firstBackoffMs;
      } catch (error) {
        this.reason = (error as Error).message;
        if (error instanceof DomainError && error.kind === 'failed_precondition') this.events.onUnfit(error);
        this.events.onChange();
      } finally {
        connection.close();
      }
      if (!this.isRetired) await sleep(backoffMs, undefined, { signal: this.closed.signal }).catch(() => undefined);
      backoffMs = Math.min(2 * backoffMs, lastBackoffMs);
    }
    if (this.isRetired) this.events.onEnded(this.address);
  }

  /** Uses a stream until it ends. @returns true if it has given any answer */
  private async useStream(stream: ScoreStream<Score>): Promise<boolean> {
    let hasAnswered = false;
    stream.onAnswers((answers, model) => {
      if (stream !== this.stream) return;
      hasAnswered = true;
      for (const answer of answers) this.receive(answer, model);
      if (this.isRetired && this.inFlight.size === 0) stream.call.end();
      this.events.onChange();
    });
    stream.call.on('drain', () => {
      this.isBlocked = false;
      this.events.onChange();
    });
    // The status says the same; without a listener the error would end the process.
    stream.call.on('error', () => undefined);
    const ended = new Promise<StatusObject>((resolve) => stream.call.on('status', resolve));
    this.stream = stream;
    this.isBlocked = false;
    this.events.onChange();
    const status = await ended;
    if (stream === this.stream) this.lose(status);
    return hasAnswered;
  }

  private receive(answer: Answer<Score>, model: ModelIdentity | undefined): void {
    this.quietSince = performance.now();
    const item = this.inFlight.get(answer.id);
    if (!item) return this.events.onStray();
    this.inFlight.delete(answer.id);
    this.events.onAnswer(item, answer, this.address, model);
  }

  private lose(status: Pick<StatusObject, 'code' | 'details'>): void {
    const error = fromStatus(status, this.address);
    const items = [...this.inFlight.values()];
    this.stream = undefined;
    this.inFlight.clear();
    this.reason = status.code === Status.OK ? 'the stream has ended' : error.message;
    this.events.onLost(items, hopeless.has(status.code) ? error : undefined);
    this.events.onChange();
  }

  private write(rollouts: Rollout[], cancelIds: string[]): void {
    if (!this.stream!.write(rollouts, cancelIds)) this.isBlocked = true;
  }
}
