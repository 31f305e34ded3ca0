import { DomainError } from '@surefoot/errors';
import { createFieldReader, type FieldReader } from './field-reader';

/** What a run is judged by: the oracle of a built-in task, or the judge. */
export type Measure = 'gold' | 'judge';

/** Mean values of one policy over the evaluation prompts. */
export interface PolicyValue {
  /** Mean value of the oracle, where there is one. */
  gold?: number;
  /** Mean judge score, where there is a judge. */
  judge?: number;
  /** Standard error of the primary measure over the responses. */
  standardError?: number;
}

/** One line of runs.jsonl: a run that has ended. */
export type RunRecord = CompletedRun | UnfinishedRun;

interface RunIdentity {
  method: string;
  /** The data set that the run's ensemble was fitted on. */
  block: string;
  /** Which reward models its block has, where several blocks of a report have the same; without it, the block's own. No part of a line. */
  ensemble?: string;
  /** Number of the run within method and block, from 0; runs of equal block and number are a pair. */
  run: number;
  /** Place in the experiment, run by run, methods next to each other, from 0. */
  index: number;
  /** The reward member that the run trusted; absent where the reward is the mean or the median of all. */
  member?: number;
  /** What the reward was taken from: `member`, or a statistic of all, such as `mean`, that all runs of the block share. */
  reward?: string;
  seed: number;
  /** Iterations finished. */
  iterations: number;
  /** A value an iteration: means over the training batch; KL in nats. */
  trajectory: { gold?: number[]; judge?: number[]; kl?: number[] };
  seconds?: number;
  /** What its trainer found that a user should know. */
  warnings?: string[];
}

/** A run that ended as planned. */
export interface CompletedRun extends RunIdentity {
  status: 'completed';
  /** The start policy. */
  initial: PolicyValue;
  /** The final policy over the same prompts; `kl` is its mean sequence KL to the reference, nats. */
  final: PolicyValue & { kl: number; reward?: number };
}

/** A run that failed, or that somebody cancelled. */
export interface UnfinishedRun extends RunIdentity {
  status: 'failed' | 'cancelled';
}

/**
 * A line of runs.jsonl as a RunRecord; fields it does not know are passed over.
 *
 * @param value the line as parsed JSON
 * @param where named in errors, such as `runs.jsonl line 3`
 * @throws DomainError invalid_argument naming line and field
 */
export function parseRunRecord(value: unknown, where: string): RunRecord {
  const line = createFieldReader(value, where);
  const identity: RunIdentity = {
    method: line.text('method'),
    block: line.text('block'),
    run: line.count('run'),
    index: line.count('index'),
    member: line.optional(line.count, 'member'),
    reward: line.optional(line.text, 'reward'),
    seed: line.count('seed'),
    iterations: line.count('iterations'),
    trajectory: parseTrajectory(line.optional(line.object, 'trajectory')),
    seconds: line.optional(line.number, 'seconds'),
    warnings: line.optional(line.texts, 'warnings'),
  };
  const status = line.oneOf('status', ['completed', 'failed', 'cancelled']);
  if (status !== 'completed') return { ...identity, status };
  const run: CompletedRun = {
    ...identity,
    status,
    initial: parsePolicyValue(line.object('initial')),
    final: parseFinal(line.object('final')),
  };
  if (!hasMeasure(run, 'gold') && !hasMeasure(run, 'judge'))
    throw new DomainError('invalid_argument', `${where}: neither gold nor judge is in both initial and final`);
  return run;
}

/** True where the run has the measure at its start and at its end. */
export function hasMeasure(run: CompletedRun, measure: Measure): boolean {
  return run.initial[measure] !== undefined && run.final[measure] !== undefined;
}

function parsePolicyValue(fields: FieldReader): PolicyValue {
  return {
    gold: fields.optional(fields.number, 'gold'),
    judge: fields.optional(fields.number, 'judge'),
    standardError: fields.optional(fields.number, 'standardError'),
  };
}

function parseFinal(fields: FieldReader): CompletedRun['final'] {
  return { ...parsePolicyValue(fields), kl: fields.number('kl'), reward: fields.optional(fields.number, 'reward') };
}

function parseTrajectory(fields: FieldReader | undefined): RunIdentity['trajectory'] {
  if (!fields) return {};
  return {
    gold: fields.optional(fields.numbers, 'gold'),
    judge: fields.optional(fields.numbers, 'judge'),
    kl: fields.optional(fields.numbers, 'kl'),
  };
}
