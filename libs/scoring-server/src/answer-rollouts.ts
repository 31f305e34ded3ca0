import { status as Status } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import type { CallContext } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { maxOutstandingRollouts, maxRolloutsPerMessage } from './limits';
import { createNotifier } from './notifier';
import type { Outcome, Scorer } from './scorer';

/** What became of one rollout. */
export interface Answer {
  id: string;
  outcome: Outcome;
}

/** What a stream of rollouts consists of. */
export interface RolloutMessage {
  rollouts: Rollout[];
  cancelIds: string[];
}

/** Longest id that is repeated in an answer: a longer one is refused, and must not fill the answer. */
const maxEchoedId = 128;

/**
 * Answers a stream of rollouts in the order in which they are scored. The stream is not read while it, or the server as a
 * whole, has too much unanswered.
 *
 * @param respond sends 1 to 128 answers
 * @throws DomainError invalid_argument where a message holds too many rollouts, after everything before it is answered
 */
export async function answerStream(
  scorer: Scorer,
  messages: AsyncIterable<RolloutMessage>,
  respond: (answers: Answer[]) => Promise<void>,
  { signal }: CallContext,
): Promise<void> {
  const changes = createNotifier();
  const outstanding = createOutstanding(scorer);
  const answers: Answer[] = [];
  let isRead = false;
  let failure: unknown;

  async function read(): Promise<void> {
    for await (const { rollouts, cancelIds } of messages) {
      checkCount(rollouts, 0);
      for (const id of cancelIds) outstanding.cancel(id);
      for (const rollout of rollouts)
        outstanding.add(rollout, (answer) => {
          answers.push(answer);
          changes.notify();
        });
      while (outstanding.size() >= maxOutstandingRollouts) await changes.changed();
      await scorer.room();
    }
  }

  async function write(): Promise<void> {
    for (;;) {
      while (answers.length > 0) await respond(answers.splice(0, maxRolloutsPerMessage));
      if (isRead && outstanding.size() === 0) return;
      await changes.changed();
    }
  }

  const reading = read()
    .catch((error: unknown) => (failure = error))
    .finally(() => {
      isRead = true;
      changes.notify();
    });
  signal.addEventListener('abort', outstanding.cancelAll);
  try {
    await write();
  } finally {
    outstanding.cancelAll();
    await reading;
  }
  if (failure !== undefined) throw failure;
}

/**
 * Answers a batch, in its order.
 *
 * @throws DomainError invalid_argument where the batch is empty or too large, resource_exhausted where the queue is full
 */
export async function answerBatch(scorer: Scorer, rollouts: Rollout[], { signal }: CallContext): Promise<Answer[]> {
  checkCount(rollouts, 1);
  if (!scorer.hasRoom()) throw new DomainError('resource_exhausted', 'the queue is full: try again later');
  const outstanding = createOutstanding(scorer);
  signal.addEventListener('abort', outstanding.cancelAll);
  return Promise.all(rollouts.map((rollout) => new Promise<Answer>((resolve) => outstanding.add(rollout, resolve))));
}

/** The unanswered rollouts of one call, by id. */
function createOutstanding(scorer: Scorer) {
  const cancels = new Map<string, () => void>();
  return {
    add(rollout: Rollout, answer: (answer: Answer) => void): void {
      const id = rollout.id.slice(0, maxEchoedId);
      if (cancels.has(id)) {
        const message = 'another rollout of that id is not yet answered';
        return answer({ id, outcome: { status: { code: Status.INVALID_ARGUMENT, message } } });
      }
      let isAnswered = false;
      const cancel = scorer.submit(rollout, (outcome) => {
        isAnswered = true;
        cancels.delete(id);
        answer({ id, outcome });
      });
      if (!isAnswered) cancels.set(id, cancel);
    },
    cancel: (id: string) => cancels.get(id)?.(),
    cancelAll: () => [...cancels.values()].forEach((cancel) => cancel()),
    size: () => cancels.size,
  };
}

function checkCount(rollouts: Rollout[], least: number): void {
  if (rollouts.length < least || rollouts.length > maxRolloutsPerMessage)
    throw new DomainError(
      'invalid_argument',
      `the message holds ${rollouts.length} rollouts; ${least} to ${maxRolloutsPerMessage} are allowed`,
    );
}
