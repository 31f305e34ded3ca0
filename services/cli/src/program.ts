import { Command, CommanderError, Option } from 'commander';
import type { CommandSpec, Context } from './command';
import { readOptions } from './options-file';
import { UsageError } from './failure';
import { flagName, type OptionSpecs } from './option';
import { toJson } from './terminal';
import { version } from './version';

/**
 * Parses a command line and runs the command it names.
 *
 * @param words the arguments after the program's name
 * @throws UsageError where no command understands them; whatever the command throws
 */
export async function runProgram(commands: CommandSpec[], words: string[], context: Context): Promise<void> {
  const program = new Command('surefoot')
    .description('Uncertainty-aware RLHF: reward ensembles, variance-aware PPO, an independent judge.')
    .version(version);
  for (const spec of commands) addCommand(program, spec, context);
  for (const command of [program, ...descendants(program)])
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usageError(error, program, words);
  }
}

function addCommand(program: Command, spec: CommandSpec, context: Context): void {
  const names = spec.name.split(' ');
  const own = names.pop()!;
  const parent = names.reduce(group, program);
  const command = parent.command(own).description(spec.summary).summary(spec.summary);
  const positional = Object.entries(spec.arguments ?? {});
  for (const [, { value, description }] of positional) command.argument(value, description);
  for (const [name, { value, description, schema }] of Object.entries(spec.options))
    command.addOption(new Option(`${flagName(name)} ${value}`.trim(), described(description, schema)));
  if (!spec.ownConfig) command.option('--config <file>', 'YAML or JSON file of options, - for stdin; flags win');
  command.option('--json', 'one JSON document (or JSON lines) on stdout and nothing else');
  command.addHelpText('after', `\nExample:\n  $ surefoot ${spec.example}`);
  command.action(async (...received: unknown[]) => {
    const { json, config, ...flags } = command.opts<Record<string, unknown>>();
    const file = spec.ownConfig ? undefined : (config as string | undefined);
    const given = Object.fromEntries(positional.map(([name], index) => [name, received[index]]));
    if (spec.ownConfig && config !== undefined) flags.config = config;
    const options = await readOptions(
      { ...spec.arguments, ...spec.options } as OptionSpecs,
      { ...given, ...flags },
      { file, env: context.env, command: spec.name },
    );
    const result = await spec.run(options as never, context);
    if (!result) return;
    await context.terminal.print(`${json ? toJson(result.document) : result.text}\n`);
    if (result.failure) throw result.failure;
  });
}

const groups: Record<string, string> = {
  task: 'the built-in task',
  model: 'model folders',
  reward: 'ensembles of reward models',
  serve: 'one service in the foreground',
  runs: 'runs of a trainer service',
  experiment: 'many paired runs of several methods',
};

function group(parent: Command, name: string): Command {
  const known = parent.commands.find((command) => command.name() === name);
  return known ?? parent.command(name).description(groups[name] ?? '');
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

function described(description: string, schema: { safeParse(value: unknown): { success: boolean; data?: unknown } }) {
  const { success, data } = schema.safeParse(undefined);
  return success && data !== undefined && data !== false ? `${description} (default ${String(data)})` : description;
}

/** `surefoot reward train`: as far as words name a command. */
function namedCommand(command: Command, [word, ...others]: string[]): string {
  const next = command.commands.find((each) => each.name() === word);
  return next ? `${command.name()} ${namedCommand(next, others)}` : command.name();
}

function usageError(error: CommanderError, program: Command, words: string[]): UsageError {
  if (error.code !== 'commander.help')
    return new UsageError(`${error.message.replace(/^error: /, '')}; see ${namedCommand(program, words)} --help`);
  const unknown = words[0] === 'help' ? words[1] : undefined;
  if (unknown !== undefined) return new UsageError(`unknown command '${unknown}'; see surefoot --help`);
  const command = descendants(program).find((each) => each.name() === words[0]) ?? program;
  const path = command === program ? 'surefoot' : `surefoot ${command.name()}`;
  return new UsageError(`${path} needs a command: ${command.commands.map((each) => each.name()).join(', ')}`);
}
