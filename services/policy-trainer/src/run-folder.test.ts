import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { status as Status } from '@grpc/grpc-js';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Run } from './run';
import { createRunFolder, listRunIds, readRun, runFolder, writeRecord } from './run-folder';
import { settingsDifferences } from './run-settings';
import { createSettings } from './testing';

let runs: string;
beforeEach(() => {
  runs = mkdtempSync(join(tmpdir(), 'run-folder-'));
});
afterEach(() => rmSync(runs, { recursive: true, force: true }));

const settings = createSettings({ weightClampMin: 0, weightClampMax: Infinity, missingEosPenalty: -1 });

describe('run ids', () => {
  test.each(['', '.', '..', 'A', '-a', 'a/b', 'a\\b', 'ä', `a${'b'.repeat(63)}`, 'a b', '.hidden'])(
    '%j is none',
    (id) => {
      expect(() => runFolder(runs, id)).toThrow('run_id must match');
    },
  );
  test.each(['a', '0', 'vanilla-data-11-0', 'a..b', `a${'b'.repeat(62)}`])('%j is one', (id) => {
    expect(runFolder(runs, id)).toBe(join(runs, id));
  });
});

describe('a run’s folder', () => {
  test('is made with its settings, infinity included, and reads as interrupted until somebody works on it', async () => {
    await createRunFolder(runs, 'a', settings);
    expect(await readRun(runs, 'a')).toEqual({ id: 'a', state: 'interrupted', settings, iteration: 0, seconds: 0 });
    expect(readdirSync(runs)).toEqual(['a']);
  });

  test('of before there were learning-rate schedules has a constant rate, and goes on', async () => {
    const { ppo, ...rest } = createSettings();
    const config = join(await createRunFolder(runs, 'a', { ...rest, ppo }), 'config.json');
    const written = JSON.parse(readFileSync(config, 'utf8')) as { ppo: Record<string, unknown> };
    for (const name of ['learningRateSchedule', 'adamEpsilonMode']) delete written.ppo[name];
    writeFileSync(config, JSON.stringify(written));
    const { settings } = (await readRun(runs, 'a'))!;
    expect(settingsDifferences(settings, createSettings())).toEqual([]);
  });

  test('is made once: the second is told already_exists and changes nothing', async () => {
    await createRunFolder(runs, 'a', settings);
    const made = await Promise.allSettled([1, 2, 3].map(() => createRunFolder(runs, 'b', settings)));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of made)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'already_exists' });
    await expect(createRunFolder(runs, 'a', createSettings())).rejects.toMatchObject({ kind: 'already_exists' });
    expect((await readRun(runs, 'a'))!.settings).toEqual(settings);
    expect(readdirSync(runs).sort()).toEqual(['a', 'b']);
  });

  test('tells iteration and seconds of an interrupted run from its metrics, half a line aside', async () => {
    const folder = await createRunFolder(runs, 'a', settings);
    writeFileSync(
      join(folder, 'metrics.jsonl'),
      '{"iteration":1,"time/seconds":2}\n{"iteration":2,"time/seconds":4.5}\n{"it',
    );
    expect(await readRun(runs, 'a')).toMatchObject({ state: 'interrupted', iteration: 2, seconds: 4.5 });
  });

  test.each<Partial<Run>>([
    {
      state: 'completed',
      result: {
        initial: { gold: 0.1, judge: -1, standardError: 0.02, kl: 0 },
        final: { gold: 0.3, judge: 1, standardError: 0.03, kl: 3.1, reward: 1.2 },
      },
      trajectory: { gold: [0.1, 0.2], judge: [-1, 1], kl: [0, 1.5] },
      judge: { name: 'judge', version: '012345678901', digest: '0'.repeat(64) },
    },
    {
      state: 'failed',
      error: { code: Status.UNAVAILABLE, message: 'nobody scores' },
      trajectory: { gold: [], judge: [], kl: [1] },
    },
    { state: 'cancelled', trajectory: { gold: [], judge: [], kl: [] } },
    { state: 'cancelled', trajectory: { gold: [], judge: [], kl: [] }, warnings: ['responses are cut'] },
  ])('keeps how the run ended: %j', async (end) => {
    const folder = await createRunFolder(runs, 'a', settings);
    const ensemble = { name: 'e', version: '1', digest: '2' };
    const run = { id: 'a', settings, iteration: 2, seconds: 3.25, ensemble, ...end } as Run;
    await writeRecord(folder, run);
    expect(await readRun(runs, 'a')).toEqual(run);
  });

  test('is not there where a folder holds no run, or is a link', async () => {
    mkdirSync(join(runs, 'empty'));
    await createRunFolder(runs, 'a', settings);
    symlinkSync(join(runs, 'a'), join(runs, 'link'));
    for (const id of ['empty', 'link', 'missing']) expect(await readRun(runs, id)).toBeUndefined();
  });
});

describe('listRunIds', () => {
  test('gives the newest first, up to a limit, and passes over what is no run', async () => {
    for (const [index, id] of ['c', 'a', 'b'].entries()) {
      await createRunFolder(runs, id, settings);
      utimesSync(join(runs, id, 'config.json'), index, index);
    }
    mkdirSync(join(runs, 'empty'));
    writeFileSync(join(runs, 'file'), '');
    expect(await listRunIds(runs, 10)).toEqual(['b', 'a', 'c']);
    expect(await listRunIds(runs, 2)).toEqual(['b', 'a']);
    expect(existsSync(join(runs, 'empty'))).toBe(true);
  });
});
