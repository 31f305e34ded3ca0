import { DomainError } from '@surefoot/errors';
import { z } from 'zod';

/** Variables by name, as `process.env` has them. */
export type Environment = Record<string, string | undefined>;

/** A whole number in [minimum, maximum], written in decimal digits. */
export function integer(minimum: number, maximum: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `must be a whole number from ${minimum} to ${maximum}`);
}

/** `host:port`, `[ipv6]:port`; port 0 = any free one. */
export function hostAndPort() {
  return z
    .string()
    .refine((text) => parseHostAndPort(text) !== undefined, 'must be HOST:PORT, for example 127.0.0.1:50051');
}

/** The parts of `host:port` or `[ipv6]:port`; undefined where the text is neither. */
export function parseHostAndPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** What every service takes from its environment, but for its address, whose default differs. */
export const commonSettings = {
  SUREFOOT_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  SUREFOOT_DRAIN_MS: integer(0, 600_000).default(30_000),
  SUREFOOT_EXIT_WITH_PARENT: z
    .enum(['0', '1'])
    .default('0')
    .transform((value) => value === '1'),
};

/** What every process that computes takes besides; the names are those of `openBackend`'s options. */
export const computeSettings = {
  SUREFOOT_BACKEND: z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']).default('auto'),
  SUREFOOT_THREADS: integer(1, 1024).optional(),
  SUREFOOT_REQUIRE_GPU: z
    .enum(['0', '1'])
    .default('0')
    .transform((value) => value === '1'),
};

/**
 * The configuration of a process. A variable that is set but empty counts as not set.
 *
 * @throws DomainError invalid_argument listing every problem, each with the name of its variable
 */
export function readConfig<Schema extends z.ZodType>(schema: Schema, environment: Environment): z.output<Schema> {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = schema.safeParse(set);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const name = issue.path.join('.');
    return `${name} ${set[name] === undefined ? 'is not set' : `is ${JSON.stringify(set[name])}: ${issue.message}`}`;
  });
  throw new DomainError('invalid_argument', `bad configuration: ${problems.join('; ')}`);
}
