import { status as Status } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { createComputeWorker, toStatus, workerFile, type Logger } from '@surefoot/service';
import type { ItemStatus, ModelIdentity, Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import { createBatcher } from './batcher';
import { checkRollout } from './check-rollout';
import type { ComputeProcedures, LoadedModel } from './compute-thread';
import { scorerLimits } from './limits';
import { createNotifier } from './notifier';
import type { ScorerConfig } from './settings';
import { startTokenizing } from './tokenizing';

/** How one rollout ended: its raw scores [K], or why it has none. */
export type Outcome = { scores: Float32Array } | { status: ItemStatus };

/** What a scorer has loaded. */
export interface ScorerDescription extends LoadedModel {
  model: ModelIdentity;
  limits: ScorerLimits;
}

/** Reward models in a thread of their own, with a queue before them. */
export interface Scorer {
  /** Resolves when the models are loaded and warm. @throws DomainError where the folder cannot be served */
  ready: Promise<void>;
  /** Resolves when a thread has broken down. */
  failed: Promise<Error>;
  /** @throws before `ready` has resolved */
  describe(): ScorerDescription;
  /**
   * Scores a rollout.
   *
   * @param settle called once, at once where the rollout breaks a limit
   * @returns cancels: a rollout not yet answered is then answered with CANCELLED
   */
  submit(rollout: Rollout, settle: (outcome: Outcome) => void): () => void;
  /** False while as much waits as the queue may hold. */
  hasRoom(): boolean;
  /** Resolves when there is room. */
  room(): Promise<void>;
  close(): Promise<void>;
}

/** Most bytes of text that may wait, whatever the number of rollouts. */
const maxWaitingBytes = 64 * 1024 * 1024;

/** Starts loading `config.SUREFOOT_MODEL`. @param options.expectedMembers insists on so many members */
export function startScorer(
  config: ScorerConfig,
  logger: Logger,
  { expectedMembers }: { expectedMembers?: number } = {},
): Scorer {
  const compute = createComputeWorker<ComputeProcedures>(workerFile(__dirname, 'compute-thread'));
  const tokenizing = startTokenizing();
  const answered = createNotifier();
  const batcher = createBatcher(scoreBatch, config.SUREFOOT_TOKEN_BUDGET);
  let description: ScorerDescription | undefined;
  let waiting = 0;
  let waitingBytes = 0;

  async function load(): Promise<void> {
    const folder = config.SUREFOOT_MODEL;
    const [loaded] = await Promise.all([
      compute.call('load', { folder, backend: config.SUREFOOT_BACKEND, tokenBudget: config.SUREFOOT_TOKEN_BUDGET }),
      tokenizing.load(folder),
    ]);
    const members = loaded.members.length;
    if (expectedMembers !== undefined && members !== expectedMembers)
      throw new DomainError('failed_precondition', `${folder} has ${members} members; it must have ${expectedMembers}`);
    const { name, digest } = loaded;
    const model = { name, version: digest.slice(0, 12), digest };
    description = { ...loaded, model, limits: scorerLimits(loaded.maxTokens) };
    logger.info({ model, members, backend: loaded.backend, maxTokens: loaded.maxTokens }, 'model loaded');
  }

  function describe(): ScorerDescription {
    if (!description) throw new DomainError('unavailable', 'the model is still being loaded');
    return description;
  }

  async function scoreBatch(sequences: Int32Array[]): Promise<Float32Array[]> {
    const lengths = Int32Array.from(sequences, ({ length }) => length);
    const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
    let start = 0;
    for (const sequence of sequences) {
      ids.set(sequence, start);
      start += sequence.length;
    }
    const flat = await compute.call('score', { ids, lengths }, [ids.buffer, lengths.buffer]);
    const members = flat.length / sequences.length;
    return sequences.map((_, i) => flat.subarray(i * members, (i + 1) * members));
  }

  function submit(rollout: Rollout, settle: (outcome: Outcome) => void): () => void {
    const bytes = waitingBytesOf(rollout);
    let isSettled = false;
    waiting += 1;
    waitingBytes += bytes;
    const finish = (outcome: Outcome) => {
      if (isSettled) return;
      isSettled = true;
      waiting -= 1;
      waitingBytes -= bytes;
      settle(outcome);
      answered.notify();
    };
    const refuse = (error: unknown) => {
      // A thread that has broken down ends the process; unanswered rollouts are then sent to another replica.
      if (error instanceof DomainError && error.kind === 'unavailable') return;
      const { code, details } = toStatus(error);
      if (code === Status.INTERNAL) logger.error({ err: error }, 'a rollout could not be scored');
      finish({ status: { code, message: details } });
    };
    const expiresAt = rollout.ttlMs > 0 ? performance.now() + rollout.ttlMs : Infinity;
    const enqueue = (sequence: Int32Array) =>
      batcher.add({
        sequence,
        expiresAt,
        isSettled: () => isSettled,
        onScores: (scores) => finish(checked(scores)),
        onExpired: () => finish({ status: { code: Status.DEADLINE_EXCEEDED, message: 'its time to live is over' } }),
        onError: refuse,
      });
    try {
      const { maxTokens } = describe();
      const found = checkRollout(rollout, describe());
      if ('sequence' in found) enqueue(found.sequence);
      else tokenizing.encode(found.text, maxTokens).then(enqueue, refuse);
    } catch (error) {
      refuse(error);
    }
    return () => finish({ status: { code: Status.CANCELLED, message: 'cancelled by the client' } });
  }

  function checked(scores: Float32Array): Outcome {
    const wrong = scores.findIndex((score) => !Number.isFinite(score));
    if (wrong < 0) return { scores };
    logger.error({ member: wrong }, 'a member gave a score that is not finite');
    return { status: { code: Status.INTERNAL, message: `member ${wrong} gave a score that is not finite` } };
  }

  const hasRoom = () => waiting < config.SUREFOOT_QUEUE_ROLLOUTS && waitingBytes < maxWaitingBytes;
  return {
    ready: load(),
    failed: Promise.race([compute.failed, tokenizing.failed]),
    describe,
    submit,
    hasRoom,
    room: async () => {
      while (!hasRoom()) await answered.changed();
    },
    close: async () => void (await Promise.all([compute.close(), tokenizing.close()])),
  };
}

function waitingBytesOf({ prompt, response, tokenIds }: Rollout): number {
  const texts = prompt?.$case === 'conversation' ? prompt.value.messages.map(({ content }) => content) : [];
  if (prompt?.$case === 'text') texts.push(prompt.value);
  const characters = texts.reduce((sum, text) => sum + text.length, response.length);
  return 2 * characters + 8 * ((tokenIds?.promptIds.length ?? 0) + (tokenIds?.responseIds.length ?? 0));
}
