import { spawn } from 'node:child_process';
import { DomainError } from '@surefoot/errors';
import { z } from 'zod';
import { defineCommand, type CommandSpec, type Context } from '../command';
import { Interrupted } from '../failure';
import { serviceMain, type ServiceName } from '../local/service-process';
import { option, type OptionSpecs } from '../option';

// The service itself checks the values: it lists every problem in one line.
const setting = (value: string, description: string) =>
  option(value, description, z.union([z.string(), z.number().transform(String)]).optional());

const common = {
  address: setting('<host:port>', 'where it listens'),
  backend: setting('<name>', 'what computes: auto, tensorflow, webgpu, wasm or cpu'),
  threads: setting('<n>', 'processor threads; default as many as there are cores'),
  requireGpu: setting('<0|1>', '1: ends where no GPU computes'),
  weights: setting('<form>', 'how weights are held: auto, f32 or bf16-mapped'),
  logLevel: setting('<level>', 'debug, info, warn or error'),
  drainMs: setting('<ms>', 'time for accepted work when it ends'),
};
const scorer = {
  model: setting('<dir>', 'model folder'),
  tokenBudget: setting('<n>', 'padded tokens of one forward pass'),
  queueRollouts: setting('<n>', 'rollouts that may wait'),
};

/** What each service takes: `--runs-dir X` is `SUREFOOT_RUNS_DIR=X`. */
export const serviceSettings: Record<ServiceName, OptionSpecs> = {
  'reward-ensemble': { ...common, ...scorer },
  judge: { ...common, ...scorer },
  'policy-trainer': {
    ...common,
    runsDir: setting('<dir>', 'where runs are kept'),
    dataDir: setting('<dir>', 'root of the paths in requests'),
    ensembleAddress: setting('<host:port,…>', 'reward ensemble, where a run names none'),
    judgeAddress: setting('<host:port,…>', 'judge, where a run names none; none for no judge'),
    scorerPatienceMs: setting('<ms>', 'how long a run waits for a scorer that is away'),
  },
};

const examples: Record<ServiceName, string> = {
  'reward-ensemble': 'serve reward-ensemble --model ensemble --address 127.0.0.1:50051',
  judge: 'serve judge --model judge --address 127.0.0.1:50052',
  'policy-trainer': 'serve policy-trainer --data-dir . --runs-dir runs --address 127.0.0.1:50053',
};

export const serve: CommandSpec[] = (Object.keys(serviceSettings) as ServiceName[]).map((service) =>
  defineCommand({
    name: `serve ${service}`,
    summary: `runs the ${service} service in the foreground; flags are its environment`,
    example: examples[service],
    options: serviceSettings[service],
    run: (settings, context) => inForeground(service, settings as Record<string, string | undefined>, context),
  }),
);

/** `SUREFOOT_RUNS_DIR` of `runsDir`. */
export function environmentName(name: string): string {
  return `SUREFOOT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

async function inForeground(
  service: ServiceName,
  settings: Record<string, string | undefined>,
  { env, signal }: Context,
): Promise<void> {
  const chosen = Object.entries(settings).filter(([, value]) => value !== undefined);
  const child = spawn(process.execPath, [serviceMain(service)], {
    env: {
      ...env,
      ...Object.fromEntries(chosen.map(([name, value]) => [environmentName(name), value])),
      SUREFOOT_EXIT_WITH_PARENT: '1',
    },
    stdio: ['pipe', 'inherit', 'pipe'],
    // We pass signals on, so that Ctrl-C does not reach it twice, which would cut its drain short.
    detached: true,
  });
  let problem = '';
  child.stderr?.on('data', (data: Buffer) => {
    problem = (problem + data.toString()).slice(-4096);
  });
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  const { status, by } = await new Promise<{ status: number | null; by: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('exit', (status, by) => resolve({ status, by }));
    child.once('error', reject);
  });
  if (signal.aborted) throw new Interrupted(`${service} stopped`);
  if (status === 0) return;
  const ended = by ? `was ended by ${by}` : `ended with status ${status}`;
  throw new DomainError(
    'unavailable',
    problem.trim() || `${service} ${ended}; \`surefoot doctor\` tells which backends open here`,
  );
}
