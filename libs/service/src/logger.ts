import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** The root logger of a process: JSON lines on stdout, written at once so that nothing is lost when the process dies. */
export function createLogger(options: { service: string; version: string; level: string }): Logger {
  return pino(
    { level: options.level, base: { service: options.service, version: options.version } },
    pino.destination({ dest: 1, sync: true }),
  );
}
