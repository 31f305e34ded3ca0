import type { DomainError } from '@surefoot/errors';
import type { z } from 'zod';
import type { Terminal } from './terminal';
import type { OptionSpec, OptionSpecs, OptionValues } from './option';

/** What a command leaves to be printed: the document with `--json`, else the text. */
export interface Result {
  document: unknown;
  text: string;
  /** What the command has found wrong; it then ends with status 1. */
  failure?: DomainError;
}

/** Where a command runs. */
export interface Context {
  terminal: Terminal;
  /** Aborted by Ctrl-C; what is finished by then is kept. */
  signal: AbortSignal;
  /** The environment, handed on to child processes. */
  env: NodeJS.ProcessEnv;
}

/** One command. Its options can come from flags and from `--config`; `--json` and `--help` are added to every one. */
export interface CommandSpec<Arguments extends OptionSpecs = OptionSpecs, Options extends OptionSpecs = OptionSpecs> {
  /** Words after `surefoot`, for example `reward train`. */
  name: string;
  summary: string;
  /** A command line that works, without `surefoot `. */
  example: string;
  /** Positional arguments, in order; `value` is `<dir>`, `[id]` or `<dirs...>`. */
  arguments?: Arguments;
  options: Options;
  /** True where `--config` is the command's own kind of file and not a file of options. */
  ownConfig?: boolean;
  run(options: OptionValues<Arguments> & OptionValues<Options>, context: Context): Promise<Result | void>;
}

/** A command whose `run` is checked against its own options. */
export function defineCommand<
  Options extends OptionSpecs,
  Arguments extends OptionSpecs = Record<never, OptionSpec<z.ZodNever>>,
>(spec: CommandSpec<Arguments, Options>): CommandSpec {
  return spec as unknown as CommandSpec;
}
