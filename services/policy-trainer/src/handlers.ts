import type { PolicyTrainerService } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { DomainError } from '@surefoot/errors';
import type { Handlers } from '@surefoot/service';
import { fromRunConfig, toWireRun } from './convert';
import type { GeneratedResponse } from './generate';
import type { Generator } from './generator';
import type { Run } from './run';
import type { Runs } from './runs';

/** The RPCs of the policy trainer. */
export function createHandlers(runs: Runs, generator: Generator): Handlers<typeof PolicyTrainerService> {
  const wire = (run: Run) => toWireRun(run, runs.folder(run.id));
  return {
    startRun: async ({ runId, config, resume }) => ({
      run: wire(await runs.start(runId, fromRunConfig(config), resume)),
    }),
    getRun: async ({ runId }) => ({ run: wire(await runs.get(runId)) }),
    listRuns: async () => ({ runs: (await runs.list()).map(wire) }),
    watchRun: async ({ runId, fromIteration }, send, { signal, draining }) => {
      for await (const event of runs.watch(runId, fromIteration, AbortSignal.any([signal, draining])))
        if ('run' in event) await send({ iteration: 0, metrics: {}, run: wire(event.run) });
        else await send({ ...event.line, run: undefined });
      if (draining.aborted) throw new DomainError('unavailable', 'the trainer is shutting down: watch again later');
    },
    cancelRun: async ({ runId }) => ({ run: wire(await runs.cancel(runId)) }),
    generate: async (request, send, { signal }) => {
      // Responses come from another thread, faster than a slow client may take them.
      let sent: Promise<void> = Promise.resolve();
      const onResponse = (response: GeneratedResponse) => {
        sent = sent.then(() => send(response));
        sent.catch(() => undefined);
      };
      await generator.generate(request, onResponse, signal);
      await sent;
    },
  };
}
