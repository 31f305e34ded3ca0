import { status as Status } from '@grpc/grpc-js';
import { DomainError } from '@surefoot/errors';
import { fromStatus } from '@surefoot/service';
import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import type { Answer } from './scorer-kind';

/** How a rollout ended for its caller. */
export type Outcome<Score> = { score: Score } | { error: Error };

/** A rollout on its way. */
export interface Item<Score> {
  /** With the pool's own id, which is unique whatever ids the caller uses. */
  rollout: Rollout;
  /** The caller's id in words, for errors. */
  name: string;
  /** Streams that have died under it. */
  deaths: number;
  outcome: Promise<Outcome<Score>>;
  settle: (outcome: Outcome<Score>) => void;
}

/** @param id the pool's own */
export function createItem<Score>(rollout: Rollout, id: string): Item<Score> {
  let settle!: (outcome: Outcome<Score>) => void;
  const outcome = new Promise<Outcome<Score>>((resolve) => (settle = resolve));
  const name = `rollout ${JSON.stringify(rollout.id.slice(0, 128))}`;
  return { rollout: { ...rollout, id }, name, deaths: 0, outcome, settle };
}

/** What an answer comes to. */
export function outcomeOf<Score>({ name }: Item<Score>, { status, score }: Answer<Score>): Outcome<Score> {
  if (!status && score !== undefined) return { score };
  const { code, message } = status ?? { code: Status.INTERNAL, message: 'the answer holds no score' };
  // The scorer has said why, for example a score that is not finite: no bug of ours, and the user must read it.
  if (code === Status.INTERNAL) return { error: new DomainError('diverged', `${name}: ${message}`) };
  return { error: fromStatus({ code, details: message }, name) };
}

/** All scores, or the error of the first rollout in the caller's order, so that arrival decides nothing. */
export function scoresOf<Score>(outcomes: Outcome<Score>[]): Score[] {
  return outcomes.map((outcome) => {
    if ('error' in outcome) throw outcome.error;
    return outcome.score;
  });
}
