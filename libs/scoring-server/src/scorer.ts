import { availableParallelism } from 'node:os';
import { status as Status } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { toStatus, type Logger } from '@surefoot/service';
import type { ItemStatus, ModelIdentity, Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import { createBatcher } from './batcher';
import { checkRollout } from './check-rollout';
import type { LoadedModel } from './compute-thread';
import { startComputing } from './computing';
import { scorerLimits } from './limits';
import type { ScorerConfig } from './settings';
import { startTokenizing } from './tokenizing';
import { WaitingRoom } from './waiting-room';

/** How one rollout ended: its raw scores [K], or why it has none. */
export type Outcome = { scores: Float32Array } | { status: ItemStatus };

/** What a scorer has loaded. */
export interface ScorerDescription extends LoadedModel {
  model: ModelIdentity;
  limits: ScorerLimits;
}

/** Reward models and their tokenizer in threads, with a queue before them. */
export class Scorer {
  /** Resolves when the models are loaded and warm. Rejects with a DomainError where the folder cannot be served. */
  readonly ready: Promise<void>;
  /** Resolves when a thread has broken down. */
  readonly failed: Promise<Error>;
  private readonly computing = startComputing();
  private readonly tokenizing = startTokenizing();
  private readonly waiting: WaitingRoom;
  private readonly batcher: ReturnType<typeof createBatcher>;
  private description: ScorerDescription | undefined;

  /** Starts loading `config.SUREFOOT_MODEL`. @param expectedMembers insists on so many members */
  constructor(
    private readonly config: ScorerConfig,
    private readonly logger: Logger,
    expectedMembers?: number,
  ) {
    this.waiting = new WaitingRoom(config.SUREFOOT_QUEUE_ROLLOUTS);
    this.batcher = createBatcher((sequences) => this.computing.score(sequences), config.SUREFOOT_TOKEN_BUDGET);
    this.failed = Promise.race([this.computing.failed, this.tokenizing.failed]);
    this.ready = this.load(expectedMembers);
  }

  /** @throws DomainError unavailable before `ready` has resolved */
  describe(): ScorerDescription {
    if (!this.description) throw new DomainError('unavailable', 'the model is still being loaded');
    return this.description;
  }

  /**
   * Scores a rollout.
   *
   * @param answer called once, at once where the rollout breaks a limit
   * @returns cancels: a rollout not yet answered is then answered with CANCELLED
   */
  submit(rollout: Rollout, answer: (outcome: Outcome) => void): () => void {
    const leave = this.waiting.enter(rollout);
    let isSettled = false;
    const settle = (outcome: Outcome) => {
      if (isSettled) return;
      isSettled = true;
      leave();
      answer(outcome);
    };
    const onError = (error: unknown) => this.refuse(error, settle);
    const expiresAt = rollout.ttlMs > 0 ? performance.now() + rollout.ttlMs : Infinity;
    const enqueue = (sequence: Int32Array) =>
      this.batcher.add({
        sequence,
        expiresAt,
        isSettled: () => isSettled,
        onScores: (scores) => settle(this.checked(scores)),
        onExpired: () => settle(failed(Status.DEADLINE_EXCEEDED, 'its time to live is over')),
        onError,
      });
    try {
      const bounds = this.describe();
      const found = checkRollout(rollout, bounds);
      if ('sequence' in found) enqueue(found.sequence);
      else this.tokenizing.encode(found.text, bounds.maxTokens).then(enqueue, onError);
    } catch (error) {
      onError(error);
    }
    return () => settle(failed(Status.CANCELLED, 'cancelled by the client'));
  }

  /** False while as much waits as the queue may hold. */
  hasRoom(): boolean {
    return this.waiting.hasRoom();
  }

  /** Resolves when there is room. */
  room(): Promise<void> {
    return this.waiting.room();
  }

  async close(): Promise<void> {
    await Promise.all([this.computing.close(), this.tokenizing.close()]);
  }

  private async load(expectedMembers: number | undefined): Promise<void> {
    const { SUREFOOT_MODEL: folder } = this.config;
    const loading = this.computing.load({
      folder,
      backend: this.config.SUREFOOT_BACKEND,
      weights: this.config.SUREFOOT_WEIGHTS,
      threads: this.config.SUREFOOT_THREADS ?? availableParallelism(),
      requireGpu: this.config.SUREFOOT_REQUIRE_GPU,
      tokenBudget: this.config.SUREFOOT_TOKEN_BUDGET,
      onOpened: (backend) => {
        const level = backend.kernelBuild === 'plain' ? 'warn' : 'info'; // plain operations are many times slower
        this.logger[level]({ backend }, 'backend opened');
      },
    });
    const [loaded] = await Promise.all([loading, this.tokenizing.load(folder)]);
    for (const warning of loaded.warnings) this.logger.warn(warning);
    const members = loaded.members.length;
    if (expectedMembers !== undefined && members !== expectedMembers)
      throw new DomainError('failed_precondition', `${folder} has ${members} members; it must have ${expectedMembers}`);
    const { name, digest, maxTokens } = loaded;
    const model = { name, version: digest.slice(0, 12), digest };
    this.description = { ...loaded, model, limits: scorerLimits(maxTokens) };
    const { backend, computeThreads } = loaded;
    this.logger.info({ model, members, maxTokens, backend, computeThreads }, 'model loaded');
  }

  private refuse(error: unknown, settle: (outcome: Outcome) => void): void {
    // A thread that has broken down ends the process; unanswered rollouts are then sent to another replica.
    if (error instanceof DomainError && error.kind === 'unavailable') return;
    const { code, details } = toStatus(error);
    if (code === Status.INTERNAL) this.logger.error({ err: error }, 'a rollout could not be scored');
    settle(failed(code, details));
  }

  private checked(scores: Float32Array): Outcome {
    const wrong = scores.findIndex((score) => !Number.isFinite(score));
    if (wrong < 0) return { scores };
    this.logger.error({ member: wrong }, 'a member gave a score that is not finite');
    return failed(Status.INTERNAL, `member ${wrong} gave a score that is not finite`);
  }
}

function failed(code: Status, message: string): Outcome {
  return { status: { code, message } };
}
