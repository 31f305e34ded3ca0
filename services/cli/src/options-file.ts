import { readText } from '@surefoot/files';
import { parse } from 'yaml';
import { UsageError } from './failure';
import { flagName, type OptionSpecs } from './option';
import { plainWords } from './plain-words';

/**
 * The options of a command: flags over the values of a `--config` file over the environment over defaults.
 *
 * @param flags what the command line held, by option name
 * @param file YAML or JSON mapping of option names (camelCase or kebab-case) to values
 * @param command its name, for the error
 * @throws UsageError listing every unknown name, missing option and wrong value
 */
export async function readOptions(
  specs: OptionSpecs,
  flags: Record<string, unknown>,
  { file, env, command }: { file?: string; env: NodeJS.ProcessEnv; command: string },
): Promise<Record<string, unknown>> {
  const values = { ...(file === undefined ? {} : await readOptionsFile(specs, file)), ...defined(flags) };
  const problems: string[] = [];
  const options: Record<string, unknown> = {};
  for (const [name, { schema, variable }] of Object.entries(specs)) {
    const fromEnvironment = (variable && env[variable]) || undefined;
    const { success, data, error } = schema.safeParse(values[name] ?? fromEnvironment, { error: plainWords });
    const reasons = () => [...new Set(error!.issues.map(({ message }) => message))].join(', ');
    if (success) options[name] = data;
    else if (values[name] === undefined && fromEnvironment) problems.push(`${variable} ${reasons()}`);
    else if (values[name] === undefined) problems.push(`${flagName(name)} is required`);
    else problems.push(`${flagName(name)} ${reasons()}`);
  }
  if (problems.length > 0) throw new UsageError(`${problems.join('; ')} (see surefoot ${command} --help)`);
  return options;
}

async function readOptionsFile(specs: OptionSpecs, file: string): Promise<Record<string, unknown>> {
  const content = await readYaml(file);
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new UsageError(`${file}: must be a mapping of option names to values`);
  const values = Object.fromEntries(
    Object.entries(content).map(([name, value]) => [
      name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
  const unknown = Object.keys(values).filter((name) => !(name in specs));
  if (unknown.length > 0)
    throw new UsageError(`${file}: unknown ${unknown.join(', ')}; known are ${Object.keys(specs).join(', ')}`);
  return values;
}

/** A YAML or JSON file. @throws UsageError naming file, line and reason */
export async function readYaml(file: string): Promise<unknown> {
  const content = await readText(file);
  try {
    return parse(content);
  } catch (error) {
    // What follows the first line shows the place.
    const [reason] = (error as Error).message.split(/:?\n/);
    throw new UsageError(`${file} is neither YAML nor JSON: ${reason}`, { cause: error });
  }
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
