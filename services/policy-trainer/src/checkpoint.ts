import { rm } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import type { LearnerState } from '@surefoot/ppo';
import type { ScoreNormaliser } from '@surefoot/reward';
import { readSafetensors, writeSafetensors, type StoredTensor } from '@surefoot/tensor';
import { checkpointPath, listCheckpoints } from './run-folder';
import type { Fingerprint } from './start';

const format = 'surefoot-checkpoint-1';
const kept = 2;
/** Keeps the best policy's weights apart from the learner's tensors in one file. */
const bestPrefix = 'best/';

/** The policy that the judge liked best so far. */
export interface BestPolicy {
  /** Moving mean of the judge's scores that it reached. */
  judge: number;
  /** The iteration whose rollouts it gave. */
  iteration: number;
  tensors: Map<string, StoredTensor>;
}

/** A run between two iterations: all that the next one depends on and that no other file of the run's folder holds. */
export interface Checkpoint {
  /** Iterations finished. */
  iteration: number;
  /** Seconds of work so far. */
  seconds: number;
  learner: LearnerState;
  normaliser: ScoreNormaliser;
  /** Share of the start policy's samples that were cut at `maxNewTokens`, 0..1; absent in checkpoints of before it was kept. */
  cutShare?: number;
  fingerprint: Fingerprint;
  best?: BestPolicy;
  /** Bytes of rollouts.jsonl.gz; 0 where rollouts are not kept. */
  rolloutBytes: number;
}

type Numbers = Pick<
  Checkpoint,
  'iteration' | 'seconds' | 'normaliser' | 'cutShare' | 'fingerprint' | 'rolloutBytes'
> & {
  learner: LearnerState['numbers'];
  best?: Omit<BestPolicy, 'tensors'>;
};

/**
 * Writes a checkpoint, whole or not at all, and then removes all but the last two.
 *
 * @throws DomainError as writeSafetensors; the checkpoints before it stay
 */
export async function saveCheckpoint(folder: string, checkpoint: Checkpoint): Promise<void> {
  const { learner, best, ...rest } = checkpoint;
  const numbers: Numbers = {
    ...rest,
    learner: learner.numbers,
    ...(best && { best: { judge: best.judge, iteration: best.iteration } }),
  };
  const bestTensors = [...(best?.tensors ?? [])].map(([name, tensor]): [string, StoredTensor] => [
    bestPrefix + name,
    tensor,
  ]);
  await writeSafetensors(checkpointPath(folder, checkpoint.iteration), [...learner.tensors, ...bestTensors], {
    format,
    numbers: JSON.stringify(numbers),
  });
  for (const iteration of (await listCheckpoints(folder)).slice(kept))
    await rm(checkpointPath(folder, iteration), { force: true });
}

/**
 * The newest checkpoint of a run; undefined where it has none. One that cannot be read, as a damaged disk leaves it, is
 * passed over for the one before.
 *
 * @param fingerprint of the run as it would go on
 * @throws DomainError failed_precondition naming what has changed since, or where no checkpoint can be read
 */
export async function loadCheckpoint(folder: string, fingerprint: Fingerprint): Promise<Checkpoint | undefined> {
  let reason: unknown;
  for (const iteration of await listCheckpoints(folder)) {
    const checkpoint = await readCheckpoint(checkpointPath(folder, iteration)).catch((error: unknown) => {
      reason = error;
      return undefined;
    });
    if (!checkpoint) continue;
    refuseOther(checkpoint.fingerprint, fingerprint);
    return checkpoint;
  }
  if (reason === undefined) return undefined;
  throw new DomainError(
    'failed_precondition',
    `no checkpoint of ${folder} can be read (${(reason as Error).message}): start the run under another id`,
    { cause: reason },
  );
}

async function readCheckpoint(path: string): Promise<Checkpoint> {
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata['format'] !== format)
    throw new DomainError('failed_precondition', `${path} is no checkpoint of this version`);
  const { learner, best, ...rest } = JSON.parse(metadata['numbers'] ?? '') as Numbers;
  const part = (isBest: boolean) => new Map([...tensors].filter(([name]) => name.startsWith(bestPrefix) === isBest));
  const bestTensors = new Map([...part(true)].map(([name, tensor]) => [name.slice(bestPrefix.length), tensor]));
  return {
    ...rest,
    learner: { tensors: part(false), numbers: learner },
    ...(best && { best: { ...best, tensors: bestTensors } }),
  };
}

function refuseOther(noted: Fingerprint, now: Fingerprint): void {
  // A checkpoint of before weights could be mapped does not say how they were held.
  const saved = { ...noted, weights: noted.weights ?? 'f32' };
  const short = (value: string | undefined) => (/^[0-9a-f]{64}$/.test(value ?? '') ? value!.slice(0, 12) : value);
  const differences = (Object.keys(now) as (keyof Fingerprint)[])
    .filter((name) => saved[name] !== now[name])
    .map((name) => `${name} was ${short(saved[name])} and is ${short(now[name])}`);
  if (differences.length > 0)
    throw new DomainError(
      'failed_precondition',
      `the run cannot go on from its checkpoint: ${differences.join('; ')}. Bring back what it began with, or start another run`,
    );
}
