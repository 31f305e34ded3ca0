import { DomainError } from '@surefoot/errors';
import type { ModelIdentity, Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import { hasNames, resolveReplicas } from './addresses';
import { Agreement } from './agreement';
import { createItem, outcomeOf, scoresOf, type Item, type Outcome } from './item';
import { Replica, type ReplicaEvents } from './replica';
import { connectByKind, type Answer, type Connection, type ScoreByKind, type ScorerDescription } from './scorer-kind';
import { shareOut } from './share-out';

/** How a pool behaves. */
export interface ScoringPoolOptions<Kind extends keyof ScoreByKind> {
  kind: Kind;
  /** `host:port` each; a name stands for all addresses it resolves to, asked again every `resolveMs`. */
  addresses: string[];
  /** Milliseconds without any usable replica after which waiting rollouts fail, default 60,000. */
  giveUpMs?: number;
  /**
   * Milliseconds without any answer on a stream that owes some, after which it is given up, default 3,600,000: to compute what
   * waits at a scorer of a large model takes minutes, and one that has stopped is found sooner by its connection.
   */
  silenceMs?: number;
  /** Milliseconds between two looks at names, default 5,000. */
  resolveMs?: number;
}

/** What went over the wire; `sent - redispatched = answered` when nothing is on its way. */
export interface ScoringCounters {
  /** Rollouts written to a stream, those sent again included. */
  sent: number;
  /** Rollouts whose answer has arrived. */
  answered: number;
  /** Rollouts taken back from a stream that died. */
  redispatched: number;
  /** Answers to rollouts that were not, or no longer, on their way; ignored. */
  duplicates: number;
}

/** Replicas of one scorer. */
export interface ScoringPool<Score> {
  /**
   * Scores rollouts; ids need not be unique. Safe to call again before an earlier call is answered.
   *
   * @returns scores in the order of `rollouts`
   * @throws DomainError naming the first rollout that was refused, when all are answered; unavailable naming the addresses
   *   when no replica could be used for `giveUpMs`; failed_precondition where replicas serve different models; AbortError
   */
  score(rollouts: Rollout[], options?: { signal?: AbortSignal }): Promise<Score[]>;
  /** What the replicas say about themselves. @throws as `score` */
  describe(): Promise<ScorerDescription>;
  counters(): ScoringCounters;
  /** Ends the streams; rollouts still waiting fail. */
  close(): void;
}

/** Streams that may die under a rollout before it is taken for the cause. */
const maxDeaths = 5;
const silenceCheckMs = 1_000;

/**
 * A pool of replicas of one scorer: one stream each, rollouts go to the replica with the fewest unanswered, and those on a
 * stream that dies are sent again. Every rollout is answered once, in whatever order the answers arrive.
 *
 * @throws DomainError invalid_argument where an address is none
 */
export function createScoringPool<Kind extends keyof ScoreByKind>({
  kind,
  addresses,
  giveUpMs = 60_000,
  silenceMs = 3_600_000,
  resolveMs = 5_000,
}: ScoringPoolOptions<Kind>): ScoringPool<ScoreByKind[Kind]> {
  const connect = connectByKind[kind] as (address: string) => Connection<ScoreByKind[Kind]>;
  return new Pool(addresses, connect, { giveUpMs, silenceMs, resolveMs });
}

interface Describer {
  resolve(description: ScorerDescription): void;
  reject(error: Error): void;
}

class Pool<Score> implements ScoringPool<Score>, ReplicaEvents<Score> {
  private readonly replicas = new Map<string, Replica<Score>>();
  private readonly agreement = new Agreement();
  private readonly unsettled = new Set<Item<Score>>();
  private readonly describers = new Set<Describer>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly count: ScoringCounters = { sent: 0, answered: 0, redispatched: 0, duplicates: 0 };
  /** Rollouts that are with no replica. */
  private pending: Item<Score>[] = [];
  private items = 0;
  private nameProblems: string[] = [];
  private failure: Error | undefined;
  private givingUp: NodeJS.Timeout | undefined;

  constructor(
    private readonly addresses: string[],
    private readonly connect: (address: string) => Connection<Score>,
    private readonly options: { giveUpMs: number; silenceMs: number; resolveMs: number },
  ) {
    const isNamed = hasNames(addresses);
    if (isNamed) this.timers.push(setInterval(() => void this.resolve(), options.resolveMs));
    const abandonSilent = () => this.replicas.forEach((replica) => replica.abandonIfSilent(options.silenceMs));
    this.timers.push(setInterval(abandonSilent, silenceCheckMs));
    for (const timer of this.timers) timer.unref();
    void this.resolve();
  }

  async score(rollouts: Rollout[], { signal }: { signal?: AbortSignal } = {}): Promise<Score[]> {
    if (this.failure) throw this.failure;
    signal?.throwIfAborted();
    const items = rollouts.map((rollout) => createItem<Score>(rollout, String((this.items += 1))));
    for (const item of items) this.unsettled.add(item);
    this.pending.push(...items);
    const abort = () => this.cancel(items, signal!.reason as Error);
    signal?.addEventListener('abort', abort);
    this.onChange();
    const outcomes = await Promise.all(items.map(({ outcome }) => outcome));
    signal?.removeEventListener('abort', abort);
    return scoresOf(outcomes);
  }

  async describe(): Promise<ScorerDescription> {
    if (this.failure) throw this.failure;
    const description = this.agreement.description();
    if (description) return description;
    return new Promise((resolve, reject) => {
      this.describers.add({ resolve, reject });
      this.watchForGivingUp();
    });
  }

  counters(): ScoringCounters {
    return { ...this.count };
  }

  close(): void {
    this.fail(new DomainError('aborted', `the scoring pool for ${this.addresses.join(', ')} is closed`));
  }

  onDescribed(address: string, description: ScorerDescription): void {
    this.agreement.join(address, description);
    for (const { resolve } of this.describers) resolve(description);
    this.describers.clear();
  }

  onUnfit(error: DomainError): void {
    this.fail(error);
  }

  onAnswer(item: Item<Score>, answer: Answer<Score>, address: string, model: ModelIdentity | undefined): void {
    this.count.answered += 1;
    try {
      this.agreement.check(address, model);
      this.settle(item, outcomeOf(item, answer));
    } catch (error) {
      this.fail(error as DomainError);
    }
  }

  onStray(): void {
    this.count.duplicates += 1;
  }

  onTooLarge(item: Item<Score>, { maxMessageBytes }: ScorerLimits): void {
    const text = `${item.name}: it does not fit into a message of ${maxMessageBytes} bytes`;
    this.settle(item, { error: new DomainError('invalid_argument', text) });
  }

  onLost(items: Item<Score>[], hopeless: Error | undefined): void {
    this.count.redispatched += items.length;
    const again: Item<Score>[] = [];
    for (const item of items.filter((lost) => this.unsettled.has(lost))) {
      item.deaths += 1;
      const text = `${item.name}: ${item.deaths} streams ended while it was being scored`;
      if (hopeless) this.settle(item, { error: hopeless });
      else if (item.deaths >= maxDeaths) this.settle(item, { error: new DomainError('unavailable', text) });
      else again.push(item);
    }
    this.pending = [...again, ...this.pending];
  }

  onChange(): void {
    this.watchForGivingUp();
    const { shares, rest } = shareOut(this.pending, [...this.replicas.values()]);
    this.pending = rest;
    for (const { taker, items } of shares) this.count.sent += taker.send(items);
  }

  onEnded(address: string): void {
    this.replicas.delete(address);
  }

  private async resolve(): Promise<void> {
    const found = await resolveReplicas(this.addresses);
    if (this.failure) return;
    this.nameProblems = found.problems;
    for (const address of found.replicas)
      if (!this.replicas.has(address)) this.replicas.set(address, new Replica(address, this.connect, this));
    // A name that does not resolve at the moment says nothing about the replicas behind it.
    if (found.problems.length > 0) return;
    for (const [address, replica] of this.replicas) if (!found.replicas.includes(address)) replica.retire();
  }

  private settle(item: Item<Score>, outcome: Outcome<Score>): void {
    this.unsettled.delete(item);
    item.settle(outcome);
  }

  private cancel(items: Item<Score>[], error: Error): void {
    const waiting = items.filter((item) => this.unsettled.has(item));
    for (const item of waiting) this.settle(item, { error });
    this.pending = this.pending.filter((item) => this.unsettled.has(item));
    for (const replica of this.replicas.values()) replica.cancel(waiting);
  }

  /** Runs a clock while somebody waits and no replica is usable. */
  private watchForGivingUp(): void {
    const isWanted = this.unsettled.size + this.describers.size > 0;
    const isStuck = isWanted && ![...this.replicas.values()].some((replica) => replica.isUsable());
    if (isStuck) this.givingUp ??= setTimeout(() => this.giveUp(), this.options.giveUpMs);
    else this.stopGivingUp();
  }

  private stopGivingUp(): void {
    clearTimeout(this.givingUp);
    this.givingUp = undefined;
  }

  private giveUp(): void {
    this.stopGivingUp();
    const reasons = [...this.nameProblems, ...[...this.replicas.values()].map((replica) => replica.problem())];
    const where = `${this.options.giveUpMs / 1000} s at ${this.addresses.join(', ')}`;
    this.rejectAll(new DomainError('unavailable', `no scorer could be used for ${where}: ${reasons.join('; ')}`));
  }

  private fail(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    for (const timer of this.timers) clearInterval(timer);
    this.stopGivingUp();
    for (const replica of this.replicas.values()) replica.close();
    this.rejectAll(error);
  }

  private rejectAll(error: Error): void {
    this.pending = [];
    for (const item of [...this.unsettled]) this.settle(item, { error });
    for (const { reject } of this.describers) reject(error);
    this.describers.clear();
  }
}
