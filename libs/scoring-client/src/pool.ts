import { status as Status } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { fromStatus } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { hasNames, resolveReplicas } from './addresses';
import { createReplica, type Item, type Replica } from './replica';
import { connectByKind, type Answer, type Connection, type ScoreByKind, type ScorerDescription } from './scorer-kind';

/** How a pool behaves. */
export interface ScoringPoolOptions<Kind extends keyof ScoreByKind> {
  kind: Kind;
  /** `host:port` each; a name stands for all addresses it resolves to, asked again every `resolveMs`. */
  addresses: string[];
  /** Milliseconds without any usable replica after which waiting rollouts fail, default 60,000. */
  giveUpMs?: number;
  /** Time to live of a rollout that has none of its own, milliseconds, default 120,000. */
  ttlMs?: number;
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

/** Streams on which a rollout may die before it is taken for the cause. */
const maxAttempts = 5;

interface PoolItem<Score> extends Item {
  /** As the caller named it. */
  callerId: string;
  attempts: number;
  settle: (outcome: Outcome<Score>) => void;
}
type Outcome<Score> = { score: Score } | { error: Error };

/**
 * A pool of replicas of one scorer: one stream each, rollouts go to the replica with the fewest unanswered, and those on a
 * stream that dies are sent again. Every rollout is answered once, in whatever order the answers arrive.
 */
export function createScoringPool<Kind extends keyof ScoreByKind>(
  options: ScoringPoolOptions<Kind>,
): ScoringPool<ScoreByKind[Kind]> {
  return createPool(options, connectByKind[options.kind] as (address: string) => Connection<ScoreByKind[Kind]>);
}

function createPool<Score>(
  { addresses, giveUpMs = 60_000, ttlMs = 120_000, resolveMs = 5_000 }: ScoringPoolOptions<keyof ScoreByKind>,
  connect: (address: string) => Connection<Score>,
): ScoringPool<Score> {
  const isNamed = hasNames(addresses);
  const replicas = new Map<string, Replica<PoolItem<Score>>>();
  const counters: ScoringCounters = { sent: 0, answered: 0, redispatched: 0, duplicates: 0 };
  const unsettled = new Set<PoolItem<Score>>();
  const describers = new Set<{ resolve: (description: ScorerDescription) => void; reject: (error: Error) => void }>();
  let pending: PoolItem<Score>[] = [];
  let ids = 0;
  let agreed: { address: string; description: ScorerDescription } | undefined;
  let failure: Error | undefined;
  let nameProblems: string[] = [];
  let giveUpTimer: NodeJS.Timeout | undefined;

  const resolving = setInterval(() => void resolve(), resolveMs);
  const watching = setInterval(() => replicas.forEach((replica) => replica.abandonIfSilent()), 1_000);
  for (const timer of [resolving, watching]) timer.unref();
  if (!isNamed) clearInterval(resolving);
  void resolve();

  async function resolve(): Promise<void> {
    const found = await resolveReplicas(addresses);
    if (failure) return;
    nameProblems = found.problems;
    for (const address of found.replicas) if (!replicas.has(address)) replicas.set(address, open(address));
    // A name that does not resolve at the moment says nothing about the replicas behind it.
    if (found.problems.length > 0) return;
    for (const [address, replica] of replicas) {
      if (!found.replicas.includes(address)) replica.retire();
    }
  }

  function open(address: string): Replica<PoolItem<Score>> {
    return createReplica<Score, PoolItem<Score>>(address, connect, {
      onDescribed: agree,
      onAnswer: (item, answer, model) => {
        counters.answered += 1;
        if (model?.digest !== agreed?.description.model.digest)
          return fail(disagreement(address, `${model?.name}@${model?.version}`));
        settle(item, outcomeOf(item, answer));
      },
      onStray: () => (counters.duplicates += 1),
      onTooLarge: (item, limitBytes) =>
        settle(item, {
          error: new DomainError(
            'invalid_argument',
            `${named(item)}: it does not fit into a message of ${limitBytes} bytes`,
          ),
        }),
      onLost: takeBack,
      onChange: pump,
      onUnfit: fail,
      onEnded: () => replicas.delete(address),
    });
  }

  function agree(address: string, description: ScorerDescription): void {
    agreed ??= { address, description };
    const { name, version, digest } = description.model;
    if (digest !== agreed.description.model.digest) throw disagreement(address, `${name}@${version}`);
    for (const { resolve: answer } of describers) answer(agreed.description);
    describers.clear();
  }

  function disagreement(address: string, other: string): DomainError {
    const { name, version } = agreed!.description.model;
    const first = `${agreed!.address} serves ${name}@${version}`;
    const text = `${first}, ${address} serves ${other}: scores of different models must not be mixed`;
    return new DomainError('failed_precondition', text);
  }

  /** Gives waiting rollouts to replicas with room, each to the one with the fewest unanswered. */
  function pump(): void {
    watchForGivingUp();
    if (pending.length === 0) return;
    const shares = [...replicas.values()].map((replica) => ({ replica, items: [] as PoolItem<Score>[] }));
    const load = ({ replica, items }: (typeof shares)[number]) => replica.outstanding() + items.length;
    let next = 0;
    for (; next < pending.length; next += 1) {
      const open = shares.filter(({ replica, items }) => replica.room() > items.length);
      if (open.length === 0) break;
      open.reduce((least, share) => (load(share) < load(least) ? share : least)).items.push(pending[next]!);
    }
    pending = pending.slice(next);
    for (const { replica, items } of shares) if (items.length > 0) counters.sent += replica.send(items);
  }

  function takeBack(items: PoolItem<Score>[], error: Error | undefined): void {
    counters.redispatched += items.length;
    const wanted = items.filter((item) => unsettled.has(item));
    for (const item of wanted) item.attempts += 1;
    const isLost = (item: PoolItem<Score>) => error !== undefined || item.attempts >= maxAttempts;
    for (const item of wanted.filter(isLost)) settle(item, { error: error ?? tooManyDeaths(item) });
    pending = [...wanted.filter((item) => !isLost(item)), ...pending];
  }

  function settle(item: PoolItem<Score>, outcome: Outcome<Score>): void {
    unsettled.delete(item);
    item.settle(outcome);
  }

  function watchForGivingUp(): void {
    const isStuck = unsettled.size + describers.size > 0 && ![...replicas.values()].some((replica) => replica.usable());
    if (!isStuck) {
      clearTimeout(giveUpTimer);
      giveUpTimer = undefined;
    } else giveUpTimer ??= setTimeout(giveUp, giveUpMs);
  }

  function giveUp(): void {
    giveUpTimer = undefined;
    const reasons = [...nameProblems, ...[...replicas.values()].map((replica) => replica.problem())].filter(Boolean);
    const text = `no scorer could be used for ${giveUpMs / 1000} s at ${addresses.join(', ')}: ${reasons.join('; ')}`;
    rejectAll(new DomainError('unavailable', text));
  }

  function rejectAll(error: Error): void {
    pending = [];
    for (const item of [...unsettled]) settle(item, { error });
    for (const { reject } of describers) reject(error);
    describers.clear();
  }

  function fail(error: Error): void {
    if (failure) return;
    failure = error;
    for (const timer of [resolving, watching]) clearInterval(timer);
    clearTimeout(giveUpTimer);
    for (const replica of replicas.values()) replica.close();
    rejectAll(error);
  }

  function enqueue(rollout: Rollout): { item: PoolItem<Score>; outcome: Promise<Outcome<Score>> } {
    ids += 1;
    let settleItem!: (outcome: Outcome<Score>) => void;
    const outcome = new Promise<Outcome<Score>>((resolveOutcome) => (settleItem = resolveOutcome));
    const wire = { ...rollout, id: String(ids), ttlMs: rollout.ttlMs || ttlMs };
    const item: PoolItem<Score> = { rollout: wire, callerId: rollout.id, attempts: 0, settle: settleItem };
    unsettled.add(item);
    pending.push(item);
    return { item, outcome };
  }

  return {
    async score(rollouts, { signal } = {}) {
      if (failure) throw failure;
      signal?.throwIfAborted();
      const entries = rollouts.map(enqueue);
      const abort = () => {
        const own = entries.map(({ item }) => item).filter((item) => unsettled.has(item));
        for (const item of own) settle(item, { error: signal!.reason as Error });
        pending = pending.filter((item) => unsettled.has(item));
        for (const replica of replicas.values()) replica.cancel(own);
      };
      signal?.addEventListener('abort', abort);
      pump();
      const outcomes = await Promise.all(entries.map(({ outcome }) => outcome));
      signal?.removeEventListener('abort', abort);
      return scoresOf(outcomes);
    },
    async describe() {
      if (failure) throw failure;
      if (agreed) return agreed.description;
      return new Promise((answer, reject) => {
        describers.add({ resolve: answer, reject });
        watchForGivingUp();
      });
    },
    counters: () => ({ ...counters }),
    close: () => fail(new DomainError('aborted', `the scoring pool for ${addresses.join(', ')} is closed`)),
  };
}

/** All scores, or the error of the first rollout in the caller's order, so that arrival decides nothing. */
function scoresOf<Score>(outcomes: Outcome<Score>[]): Score[] {
  return outcomes.map((outcome) => {
    if ('error' in outcome) throw outcome.error;
    return outcome.score;
  });
}

function outcomeOf<Score>(item: PoolItem<Score>, { status, score }: Answer<Score>): Outcome<Score> {
  if (!status && score !== undefined) return { score };
  const { code, message } = status ?? { code: Status.INTERNAL, message: 'the answer holds no score' };
  // The scorer has said why, for example a score that is not finite: no bug of ours, and the user must read it.
  if (code === Status.INTERNAL) return { error: new DomainError('diverged', `${named(item)}: ${message}`) };
  return { error: fromStatus({ code, details: message }, named(item)) };
}

function tooManyDeaths(item: { callerId: string; attempts: number }): DomainError {
  return new DomainError('unavailable', `${named(item)}: ${item.attempts} streams ended while it was being scored`);
}

function named({ callerId }: { callerId: string }): string {
  return `rollout ${JSON.stringify(callerId.slice(0, 128))}`;
}
