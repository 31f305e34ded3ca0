import type { status } from '@grpc/grpc-js';
import type { RunSettings } from './run-settings';

/** Where a run is in its life; `interrupted`: its folder exists, nobody works on it, it can be resumed. */
export type RunState = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'interrupted';

/** Why a run failed, as a status says it. */
export interface RunError {
  code: status;
  message: string;
}

/** Which model gave scores. */
export interface ScorerIdentity {
  name: string;
  version: string;
  /** sha256 over the digests of its files. */
  digest: string;
}

/** Means of one policy over the evaluation prompts. */
export interface PolicyValue {
  /** Absent without an oracle. */
  gold?: number;
  /** Absent without a judge. */
  judge?: number;
  /** Standard error of the primary measure: gold where present, else judge. */
  standardError?: number;
  /** Mean plain sequence KL to the reference, nats. */
  kl: number;
  /** Mean base score before clipping, standard deviations of the reference samples; of the final policy alone. */
  reward?: number;
}

/** Means of each iteration's batch, in order. */
export interface Trajectory {
  /** Empty without an oracle. */
  gold: number[];
  /** Empty without a judge. */
  judge: number[];
  /** Plain sequence KL to the reference, nats. */
  kl: number[];
}

/** What a completed run came to. */
export interface RunResult {
  initial: PolicyValue;
  final: PolicyValue;
}

/** What a run does before and after its iterations. */
export interface RunStage {
  /** In words for a person. */
  name: string;
  /** Responses sampled so far. */
  done: number;
  total: number;
}

/** A run, as it stands. */
export interface Run {
  id: string;
  state: RunState;
  settings: RunSettings;
  /** Iterations finished. */
  iteration: number;
  /** Seconds of work so far, all its processes' starts together. */
  seconds: number;
  error?: RunError;
  /** Set as soon as it has ended. */
  trajectory?: Trajectory;
  /** Set once it is completed. */
  result?: RunResult;
  ensemble?: ScorerIdentity;
  judge?: ScorerIdentity;
  /** Absent within the iterations. */
  stage?: RunStage;
  /** What the user should know of it, each once, in the order in which it came; absent without any. */
  warnings?: string[];
}
