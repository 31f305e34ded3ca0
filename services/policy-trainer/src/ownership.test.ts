import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { claimRun, isOwnedElsewhere } from './ownership';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ownership-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const mark = (owner: { host?: string; pid?: number; instance?: string }) =>
  writeFileSync(
    join(folder, 'owner.json'),
    JSON.stringify({ host: hostname(), pid: process.ppid, instance: 'another', ...owner }),
  );
const makeOld = () => utimesSync(join(folder, 'owner.json'), 0, 0);
const claim = () => claimRun(folder, () => undefined);

describe('the mark of a run’s owner', () => {
  test('keeps other live processes away and goes with its owner', async () => {
    mark({});
    expect(await isOwnedElsewhere(folder)).toBe(true);
    await expect(claim()).rejects.toMatchObject({ kind: 'failed_precondition' });
  });

  test('is ours while we hold it, and is taken away by its release', async () => {
    const release = await claim();
    expect(existsSync(join(folder, 'owner.json'))).toBe(true);
    expect(await isOwnedElsewhere(folder)).toBe(false);
    await release();
    expect(existsSync(join(folder, 'owner.json'))).toBe(false);
  });

  test('of a killed process of this host counts for nothing at once', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    mark({ pid });
    expect(await isOwnedElsewhere(folder)).toBe(false);
  });

  test('of our own host and pid is that of the container’s process before us', async () => {
    mark({ pid: process.pid });
    expect(await isOwnedElsewhere(folder)).toBe(false);
  });

  test('of another host counts while it is fresh', async () => {
    mark({ host: 'elsewhere', pid: 1 });
    expect(await isOwnedElsewhere(folder)).toBe(true);
    makeOld();
    expect(await isOwnedElsewhere(folder)).toBe(false);
  });

  test('counts for nothing when it is old, whoever has its pid now', async () => {
    mark({});
    makeOld();
    expect(await isOwnedElsewhere(folder)).toBe(false);
  });

  test('is not taken away from a process that took the run over', async () => {
    const release = await claim();
    mark({});
    await release();
    expect(existsSync(join(folder, 'owner.json'))).toBe(true);
  });
});
