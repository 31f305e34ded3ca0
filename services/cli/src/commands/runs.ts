import type { Run } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { modelFolder, remoteRunJson } from '../experiment/remote-run';
import { sayOnce } from '../experiment/run-warnings';
import { defineCommand, type CommandSpec } from '../command';
import { address as addressText, option, text } from '../option';
import { toJson } from '../terminal';
import { createTrainerClient, stateName, type IterationEvent, type TrainerClient } from '../trainer-client';

const address = option('<host:port>', 'of the trainer service', addressText);
const id = { id: option('<id>', 'name of the run', text) };

const list = defineCommand({
  name: 'runs list',
  summary: 'the runs of a trainer service, newest first',
  example: 'runs list --address 127.0.0.1:50053',
  options: { address },
  run: ({ address: at }) =>
    withClient(at, async (client) => {
      const runs = await client.list();
      return { document: runs.map(describeRun), text: runs.map(runLine).join('\n') || 'no runs' };
    }),
});

const get = defineCommand({
  name: 'runs get',
  summary: 'the state of one run',
  example: 'runs get --address 127.0.0.1:50053 my-run',
  arguments: id,
  options: { address },
  run: (options) => withClient(options.address, async (client) => printed(await client.get(options.id))),
});

const cancel = defineCommand({
  name: 'runs cancel',
  summary: 'ends a queued or running run; what it has written stays',
  example: 'runs cancel --address 127.0.0.1:50053 my-run',
  arguments: id,
  options: { address },
  run: (options) => withClient(options.address, async (client) => printed(await client.cancel(options.id))),
});

const watch = defineCommand({
  name: 'runs watch',
  summary: 'the metrics of a run, a JSON line an iteration, until it ends',
  example: 'runs watch --address 127.0.0.1:50053 my-run',
  arguments: id,
  options: { address },
  run: (options, { terminal, signal }) =>
    withClient(options.address, async (client) => {
      let printing = Promise.resolve();
      const onIteration = (event: IterationEvent) => {
        printing = printing.then(() => terminal.print(`${toJson(event)}\n`));
      };
      const onWarnings = sayOnce(terminal.note);
      const run = await client.watch(options.id, signal, { onIteration, onWarnings });
      await printing;
      terminal.note(runLine(run));
    }),
});

export const runs: CommandSpec[] = [list, get, watch, cancel];

async function withClient<Result>(at: string, body: (client: TrainerClient) => Promise<Result>): Promise<Result> {
  const client = createTrainerClient(at);
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

/** A run as JSON: where it is, and what run.json would say. */
function describeRun(run: Run): object {
  const { folder, ensemble, judge } = run;
  return { ...remoteRunJson(run), ensemble, judge, folder, model: modelFolder(run) ?? null };
}

function printed(run: Run) {
  const model = modelFolder(run);
  const more = [...(model ? [`model: ${model}`] : []), ...run.warnings.map((text) => `warning: ${text}`)];
  return { document: describeRun(run), text: [runLine(run), ...more].join('\n') };
}

function runLine(run: Run): string {
  const { id: name, iteration, config, seconds, error } = run;
  const parts = [
    name,
    stateName(run.state),
    `iteration ${iteration} of ${config?.ppo?.iterations ?? '?'}`,
    `${seconds.toFixed(1)} s`,
  ];
  return [...parts, error?.message].filter(Boolean).join('  ');
}
