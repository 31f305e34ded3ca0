import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import {
  PolicyTrainerClient,
  RunState,
  type Run,
  type RunConfig,
  type RunStage,
} from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { callServerStream, callUnary, createClient } from '@surefoot/service';
import { Interrupted } from './failure';

/** A trainer service, as this package uses it. */
export interface TrainerClient {
  address: string;
  /** Queues a run, or continues it from its last checkpoint. */
  start(id: string, config: RunConfig, options: { resume: boolean }): Promise<Run>;
  get(id: string): Promise<Run>;
  list(): Promise<Run[]>;
  cancel(id: string): Promise<Run>;
  /**
   * Follows a run to its end, across lost connections.
   *
   * @param watcher.onIteration called for every iteration once, in order
   * @param watcher.onStage told what the run does outside its iterations; undefined within them
   * @param watcher.onWarnings told all that the trainer has warned of so far; more than once
   * @returns the ended run
   * @throws DomainError unavailable where the service stays away, Interrupted after Ctrl-C
   */
  watch(id: string, signal: AbortSignal, watcher: RunWatcher): Promise<Run>;
  close(): void;
}

/** What a watcher of a run is told. */
export interface RunWatcher {
  onIteration: (event: IterationEvent) => void;
  onStage?: (stage: RunStage | undefined) => void;
  onWarnings?: (warnings: readonly string[]) => void;
}

/** One finished iteration of a run. */
export interface IterationEvent {
  iteration: number;
  /** By name; formulas and units stand in libs/ppo/README.md. */
  metrics: Record<string, number>;
}

const answerMs = 5_000;
// Starting checks the files that a run names.
const startMs = 120_000;
const watchMs = 3_600_000;
const reconnects = 10;
const reconnectMs = 1_000;
const ended = [RunState.RUN_STATE_COMPLETED, RunState.RUN_STATE_FAILED, RunState.RUN_STATE_CANCELLED];

/** True where nothing more will happen to a run by itself. */
export const hasEnded = ({ state }: Run) => ended.includes(state);

/** `completed`, `failed`, … */
export function stateName(state: RunState): string {
  return RunState[state]?.replace('RUN_STATE_', '').toLowerCase() ?? 'unknown';
}

/** A client of the trainer service at `address`; it connects with its first call. */
export function createTrainerClient(address: string): TrainerClient {
  const client = createClient(PolicyTrainerClient, address);
  const read = { deadlineMs: answerMs, idempotent: true };
  return {
    address,
    start: async (runId, config, { resume }) =>
      present((await callUnary(client, 'startRun', { runId, config, resume }, { deadlineMs: startMs })).run, address),
    get: async (runId) => present((await callUnary(client, 'getRun', { runId }, read)).run, address),
    list: async () => (await callUnary(client, 'listRuns', {}, read)).runs,
    cancel: async (runId) => present((await callUnary(client, 'cancelRun', { runId }, read)).run, address),
    watch: (runId, signal, watcher) => watch(client, runId, signal, watcher),
    close: () => client.close(),
  };
}

async function watch(
  client: PolicyTrainerClient,
  runId: string,
  signal: AbortSignal,
  { onIteration, onStage, onWarnings }: RunWatcher,
): Promise<Run> {
  let fromIteration = 0;
  let last: Run | undefined;
  for (let failures = 0; ;) {
    try {
      const request = { runId, fromIteration };
      for await (const message of callServerStream(client, 'watchRun', request, { deadlineMs: watchMs, signal })) {
        failures = 0;
        if (message.iteration > 0) {
          fromIteration = message.iteration + 1;
          onIteration({ iteration: message.iteration, metrics: message.metrics });
        }
        if (!message.run) continue;
        last = message.run;
        onStage?.(last.stage);
        onWarnings?.(last.warnings);
      }
      // The first message of a run that has ended says so already; its metrics follow.
      if (last && (hasEnded(last) || last.state === RunState.RUN_STATE_INTERRUPTED)) return last;
      throw new DomainError('unavailable', `run ${runId}: the service ended the stream before the run has ended`);
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      failures += 1;
      if (!(error instanceof DomainError) || error.kind !== 'unavailable' || failures > reconnects) throw error;
      await sleep(reconnectMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function present(run: Run | undefined, address: string): Run {
  if (run) return run;
  throw new DomainError('failed_precondition', `${address} answered without a run: is it a trainer service?`);
}
