import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { z } from 'zod';
import { readConfig, type commonSettings, type Environment } from './config';
import { createLogger, type Logger } from './logger';

/** What a started service gives to `runMain`. */
export interface RunningService {
  /** `host:port` it listens on. */
  address: string;
  /** Drains and stops. */
  close(): Promise<void>;
  /** Resolves when the service cannot go on, with the reason; the process then ends with status 1. */
  failed?: Promise<Error>;
}

type CommonConfig = z.output<z.ZodObject<typeof commonSettings>>;

/**
 * The life of a service process: configuration from the environment, start, `listening`, drain on SIGTERM or SIGINT, exit.
 *
 * A configuration or start that fails is one line on stderr and exit status 1. `{"msg":"listening","address":…}` is logged
 * when the service is ready. With `SUREFOOT_EXIT_WITH_PARENT=1` the end of stdin counts as SIGTERM: a child process whose
 * parent dies, however it dies, does not stay behind. A second signal ends the process at once.
 *
 * @param options.folder the folder of the main.ts; `package.json` above it gives name and version
 * @param options.schema zod object of the environment, `...commonSettings` included
 */
export function runMain<Schema extends z.ZodType<CommonConfig>>(options: {
  folder: string;
  schema: Schema;
  environment: Environment;
  start: (config: z.output<Schema>, logger: Logger) => Promise<RunningService>;
}): void {
  const { name, version } = readPackage(options.folder);
  void run().catch((error: unknown) => {
    process.stderr.write(`${name}: ${describe(error)}\n`);
    process.exit(1);
  });

  async function run(): Promise<void> {
    const config = readConfig(options.schema, options.environment);
    const logger = createLogger({ service: name, version, level: config.SUREFOOT_LOG_LEVEL });
    logger.info({ config }, 'starting');
    const starting = options.start(config, logger);
    let stopping = false;
    const stop = async (reason: string) => {
      if (stopping) process.exit(1);
      stopping = true;
      logger.info({ reason }, 'stopping');
      // A service that is still starting has accepted nothing, so there is nothing to drain.
      const service = await Promise.race([starting, undefined]);
      await service?.close();
      logger.info('stopped');
      process.exit(0);
    };
    const die = (error: unknown) => {
      logger.fatal({ err: error }, 'the process cannot go on');
      process.exit(1);
    };
    process.on('SIGTERM', () => void stop('SIGTERM').catch(die));
    process.on('SIGINT', () => void stop('SIGINT').catch(die));
    process.on('uncaughtException', die);
    if (config.SUREFOOT_EXIT_WITH_PARENT)
      process.stdin.on('close', () => void stop('the parent has ended').catch(die)).resume();

    const service = await starting;
    if (stopping) return;
    void service.failed?.then(die);
    logger.info({ address: service.address }, 'listening');
  }
}

function readPackage(folder: string): { name: string; version: string } {
  const { name, version } = JSON.parse(readFileSync(join(folder, '..', 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  return { name: basename(name), version };
}

function describe(error: unknown): string {
  if (error instanceof DomainError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
