import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { commands } from './commands';
import { defineCommand, type Context } from './command';
import { describeFailure, Interrupted, UsageError } from './failure';
import { flag, flagName, integer, number, option, text } from './option';
import { runProgram } from './program';
import { toJson } from './terminal';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-cli-'));
});
afterEach(() => rm(folder, { recursive: true }));

const probe = defineCommand({
  name: 'group probe',
  summary: 'shows its options',
  example: 'group probe --in x',
  arguments: { dirs: option('[dirs...]', 'folders', z.array(text)) },
  options: {
    in: option('<file>', 'input', text),
    maxNewTokens: option('<n>', 'count', integer({ max: 10 }).default(4)),
    topP: option('<p>', 'share', number({ above: 0, max: 1 }).optional()),
    raw: option('', 'switch', flag),
  },
  run: async (options) => ({ document: options, text: 'done' }),
});

async function run(...words: string[]): Promise<string> {
  let printed = '';
  const terminal = {
    print: async (part: string) => void (printed += part),
    note: () => undefined,
    progress: () => ({ advance: () => undefined, finish: () => undefined }),
  };
  const context: Context = { terminal, signal: new AbortController().signal, env: {} };
  await runProgram([probe], words, context);
  return printed;
}
const options = async (...words: string[]) => JSON.parse(await run('group', 'probe', '--json', ...words)) as object;

describe('options', () => {
  test('flags become numbers and switches, defaults are filled in', async () => {
    expect(await options('a', 'b', '--in', '-', '--top-p', '.5', '--raw')).toEqual({
      dirs: ['a', 'b'],
      in: '-',
      maxNewTokens: 4,
      topP: 0.5,
      raw: true,
    });
  });
  test.each([
    ['YAML', 'in: x\nmaxNewTokens: 7\n'],
    ['JSON in kebab-case', '{"in": "x", "max-new-tokens": 7}'],
  ])('a file of options counts, and flags win (%s)', async (_, content) => {
    const file = join(folder, 'options');
    await writeFile(file, content);
    expect(await options('--config', file)).toMatchObject({ in: 'x', maxNewTokens: 7 });
    expect(await options('--config', file, '--max-new-tokens', '3')).toMatchObject({ maxNewTokens: 3 });
  });
  test.each([
    [['--in', 'x', '--max-new-tokens', '11'], '--max-new-tokens must be at most 10'],
    [['--in', 'x', '--max-new-tokens', '1.5'], '--max-new-tokens must be a whole number'],
    [['--in', 'x', '--top-p', 'NaN'], '--top-p must be a finite number'],
    [['--in', 'x', '--top-p', 'Infinity'], '--top-p must be a finite number'],
    [['--in', 'x', '--top-p', ''], '--top-p must be a finite number'],
    [['--in', 'x', '--top-p', '0'], '--top-p must be above 0'],
    [['--in', ''], '--in must not be empty'],
    [[], '--in is required (see surefoot group probe --help)'],
    [['--in', 'x', '--nope'], "unknown option '--nope'; see surefoot group probe --help"],
  ])('%j is wrong usage: %s', async (words, message) => {
    await expect(options(...words)).rejects.toThrow(message);
    await expect(options(...words)).rejects.toBeInstanceOf(UsageError);
  });
  test('an unknown key of an options file is named', async () => {
    const file = join(folder, 'options');
    await writeFile(file, 'in: x\nmaxTokens: 7\n');
    await expect(options('--config', file)).rejects.toThrow(`${file}: unknown maxTokens`);
  });
  test.each([
    ['in: 3\n', '--in must be text'],
    ['in: x\nraw: 3\n', '--raw must be true or false'],
    ['in: [\n', /is neither YAML nor JSON: .* at line \d+, column \d+$/],
  ])('what is wrong in an options file is said in plain words: %j', async (content, message) => {
    const file = join(folder, 'options');
    await writeFile(file, content);
    await expect(options('--config', file)).rejects.toThrow(message);
  });
  test.each([[['nothing']], [['group']], [['group', 'nothing']], [[]]])('%j names no command', async (words) => {
    await expect(run(...words)).rejects.toBeInstanceOf(UsageError);
  });
  test('help for a command that is not there says so', async () => {
    await expect(run('help', 'bandit')).rejects.toThrow("unknown command 'bandit'");
    await expect(run('help', 'group')).resolves.toBe('');
  });
});

describe('commands', () => {
  test('every one has an example that begins with its own name', () => {
    for (const { name, example } of commands) expect(example.startsWith(name)).toBe(true);
  });
  test('flags are kebab-case and none is that of every command', () => {
    for (const { name, options: specs } of commands)
      for (const key of Object.keys(specs)) {
        expect(flagName(key)).toMatch(/^--[a-z-]+$/);
        expect([name, key]).not.toEqual([name, 'json']);
      }
  });
});

describe('failures', () => {
  test('one line and the status of their kind', () => {
    expect(describeFailure(new UsageError('a\n  b'))).toEqual({ status: 2, line: 'a; b' });
    expect(describeFailure(new Interrupted())).toEqual({ status: 130, line: 'interrupted' });
    expect(describeFailure(new TypeError('x')).status).toBe(1);
    expect(describeFailure(new TypeError('x')).line).not.toContain('\n');
  });
  test('a number that JSON lacks reaches no output', () => {
    expect(toJson({ scores: new Float32Array([1, 2]) })).toBe('{"scores":[1,2]}');
    expect(() => toJson({ scores: [1, NaN] })).toThrow('not a finite number');
  });
});
