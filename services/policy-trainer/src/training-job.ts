import type { Prompt } from '@surefoot/preference';
import type { MetricsLine } from './metrics-file';
import type { RunResult, RunStage } from './run';
import type { RunSettings } from './run-settings';

/** What the compute thread needs to know about a run; crosses threads as it is. */
export interface TrainingJob {
  /** The run's folder. */
  folder: string;
  settings: RunSettings;
  /** Real paths of what the settings name; `gold` is null without an oracle. */
  paths: { policy: string; prompts: string; evalPrompts: string; gold: string | null };
  /** Digest of the reward ensemble that answers. */
  ensembleDigest: string;
  /** Digest of the judge that answers; null without one. */
  judgeDigest: string | null;
  /** Four bytes; not 0 as soon as the run is to stop. Shared, because a computing thread reads no messages. */
  stop: SharedArrayBuffer;
}

/** A rollout on its way to the scorers; plain numbers, since small typed arrays are slow to send between threads. */
export interface RolloutToScore {
  prompt: Prompt;
  response: string;
  hasEos: boolean;
  promptIds: number[];
  responseIds: number[];
}

/** Which scorers a rollout goes to. */
export interface ScorersAsked {
  ensemble: boolean;
  judge: boolean;
}

/** Rollouts for the scorers. */
export interface ScoreRequest {
  rollouts: RolloutToScore[];
  /** Of the tokenizer that the ids belong to. */
  tokenizerDigest: string;
  asked: ScorersAsked;
}

/** Scores in the order of the rollouts. */
export interface Scores {
  /** [N][K] raw member scores; empty where the ensemble was not asked. */
  members: number[][];
  /** [N] raw; empty where the judge was not asked. */
  judge: number[];
}

/** What a run in the compute thread is given by the main thread. */
export interface TrainingContext {
  /** Sends rollouts to the scorers and waits for their scores. */
  score(request: ScoreRequest): Promise<Scores>;
  /** Told what is done outside the iterations, and how far it has come; undefined where an iteration begins. */
  onStage(stage: RunStage | undefined): void;
  /** Told after each iteration, once its metrics and its checkpoint are on the disk. */
  onIteration(line: MetricsLine): void;
  /** Tells the user of something that the run goes on with. */
  warn(message: string): void;
  /** Throws where the run is to stop; called between steps. */
  checkStopped(): void;
}

/** What a run that went to its end came to. */
export interface TrainingOutcome extends RunResult {
  /** Seconds of work, those before a resume included. */
  seconds: number;
}
