import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { plainWords } from './plain-words';

const method = z.union([z.string(), z.object({ name: z.string() })]);

test.each([
  [z.string(), undefined, 'is missing'],
  [z.string(), 3, 'must be text'],
  [z.string().min(1), '', 'must not be empty'],
  [z.array(z.string()).min(1), [], 'must not be empty'],
  [z.int(), 1.5, 'must be a whole number'],
  [z.int(), '1', 'must be a number'],
  [z.number(), NaN, 'must be a number'],
  [z.int().min(1), 0, 'must be at least 1'],
  [z.number().positive(), 0, 'must be above 0'],
  [z.int().max(9), 10, 'must be at most 9'],
  [z.boolean(), 'yes', 'must be true or false'],
  [z.record(z.string(), z.unknown()), null, 'must be a mapping'],
  [z.enum(['mean', 'median']), 'mode', 'must be one of mean, median'],
  [method, 3, 'must be text, or must be a mapping'],
  [method, { name: 3 }, 'must be text, or name must be text'],
  [z.string().regex(/:/, 'must be HOST:PORT'), 'x', 'must be HOST:PORT'],
] as const)('%# a value that %j is not: %s', (schema, value, words) => {
  const { error } = (schema as z.ZodType).safeParse(value, { error: plainWords });
  expect(error!.issues.map(({ message }) => message)).toEqual([words]);
});
