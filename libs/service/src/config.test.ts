import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { commonSettings, hostAndPort, integer, parseHostAndPort, readConfig } from './index';

const schema = z.object({
  ...commonSettings,
  SUREFOOT_ADDRESS: hostAndPort().default('127.0.0.1:1'),
  SUREFOOT_MODEL: z.string(),
  SUREFOOT_COUNT: integer(1, 10).default(3),
});

describe('readConfig', () => {
  test('fills defaults, reads numbers and switches, passes over what it does not know', () => {
    expect(readConfig(schema, { SUREFOOT_MODEL: 'm', SUREFOOT_EXIT_WITH_PARENT: '1', HOME: '/' })).toEqual({
      SUREFOOT_LOG_LEVEL: 'info',
      SUREFOOT_DRAIN_MS: 30_000,
      SUREFOOT_EXIT_WITH_PARENT: true,
      SUREFOOT_ADDRESS: '127.0.0.1:1',
      SUREFOOT_MODEL: 'm',
      SUREFOOT_COUNT: 3,
    });
  });

  test('an empty variable counts as not set', () => {
    expect(readConfig(schema, { SUREFOOT_MODEL: 'm', SUREFOOT_COUNT: '' }).SUREFOOT_COUNT).toBe(3);
    expect(() => readConfig(schema, { SUREFOOT_MODEL: '' })).toThrow('SUREFOOT_MODEL is not set');
  });

  test('names every problem', () => {
    const bad = {
      SUREFOOT_LOG_LEVEL: 'loud',
      SUREFOOT_COUNT: '11',
      SUREFOOT_ADDRESS: 'here',
      SUREFOOT_DRAIN_MS: '1.5',
    };
    const message = (() => {
      try {
        readConfig(schema, bad);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    for (const problem of [
      'SUREFOOT_LOG_LEVEL is "loud"',
      'SUREFOOT_COUNT is "11": must be a whole number from 1 to 10',
      'SUREFOOT_ADDRESS is "here": must be HOST:PORT',
      'SUREFOOT_DRAIN_MS is "1.5": must be a whole number',
      'SUREFOOT_MODEL is not set',
    ])
      expect(message).toContain(problem);
    expect(message).not.toContain('\n');
  });
});

test.each([
  ['127.0.0.1:50051', { host: '127.0.0.1', port: 50051 }],
  ['judge.surefoot.svc:1', { host: 'judge.surefoot.svc', port: 1 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['::1:5', undefined],
  ['host', undefined],
  ['host:', undefined],
  [':1', undefined],
  ['host:65536', undefined],
  ['http://host:1', undefined],
])('parseHostAndPort(%j) is %j', (text, parts) => {
  expect(parseHostAndPort(text)).toEqual(parts);
});
