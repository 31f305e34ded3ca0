import { judgeSeed } from '@surefoot/reward';
import { z } from 'zod';

/** One option of a command: a flag on the command line, and a key of `--config` files. */
export interface OptionSpec<Schema extends z.ZodType = z.ZodType> {
  /** What follows the flag in the help: `<file>`, `<dirs...>` for several, empty for a switch. */
  value: string;
  description: string;
  /** Checks a string from the command line or a value of the config file, and fills the default. */
  schema: Schema;
  /** Variable of the environment that holds where neither flag nor file says anything. */
  variable?: string;
}

/** Options by name, in camelCase as config files write them; the flag is the same in kebab-case. */
export type OptionSpecs = Record<string, OptionSpec>;

/** What a command receives. */
export type OptionValues<Specs extends OptionSpecs> = { [Name in keyof Specs]: z.output<Specs[Name]['schema']> };

/** An option of a command. */
export function option<Schema extends z.ZodType>(
  value: string,
  description: string,
  schema: Schema,
): OptionSpec<Schema> {
  return { value, description, schema };
}

/** `--max-new-tokens` of `maxNewTokens`. */
export function flagName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A text that is not empty. */
export const text = z.string().min(1, 'must not be empty');

/** A file to write, `-` for stdout. Opened anew, what `>` has connected would be written from its beginning. */
export const output = text.transform((name) => (name === '/dev/stdout' ? '-' : name));

/** A switch. */
export const flag = z.boolean().default(false);

/** One text or several. */
export const texts = z.union([text.transform((one) => [one]), z.array(text).min(1, 'needs at least one')]);

const fromText = z
  .string()
  .regex(/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/, 'must be a finite number')
  .transform(Number);
const finite = z.union([z.number('must be a finite number'), fromText], 'must be a finite number');

/** A finite number within bounds. */
export function number({ min, above, max }: { min?: number; above?: number; max?: number } = {}) {
  return finite.superRefine((value, context) => {
    const problem =
      above !== undefined && value <= above
        ? `must be above ${above}`
        : min !== undefined && value < min
          ? `must be at least ${min}`
          : max !== undefined && value > max
            ? `must be at most ${max}`
            : undefined;
    if (problem) context.addIssue({ code: 'custom', message: problem });
  });
}

/** A whole number within bounds, by default any from 1. */
export function integer({ min = 1, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {}) {
  return number({ min, max }).refine(Number.isSafeInteger, 'must be a whole number');
}

/** Several values, divided by commas on the command line. */
export function listOf<Schema extends z.ZodType>(schema: Schema) {
  return z.union([text.transform((list) => list.split(',')), z.array(z.unknown())]).pipe(z.array(schema));
}

/** A list in which nothing occurs twice. */
export function allDiffering<Schema extends z.ZodType<unknown[]>>(list: Schema) {
  return list.refine((values) => new Set(values as unknown[]).size === (values as unknown[]).length, 'must all differ');
}

/** Seed of the preference pairs of one data set. */
export const dataSeed = integer({ min: 0, max: judgeSeed - 1 });

/** `--seed`, for every command that draws anything. */
export const seed = (fallback: number) =>
  option('<n>', 'seed of everything random', integer({ min: 0 }).default(fallback));

/** `--backend`, for every command that computes. */
export const backend = {
  ...option(
    '<name>',
    'what computes: auto, tensorflow, webgpu, wasm or cpu',
    z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']).default('auto'),
  ),
  variable: 'SUREFOOT_BACKEND',
};

/** `--address`, of a service that is running. */
export const address = text.regex(
  /^[A-Za-z0-9.-]+:\d{1,5}(,[A-Za-z0-9.-]+:\d{1,5})*$/,
  'must be HOST:PORT, several divided by commas',
);
