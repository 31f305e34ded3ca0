import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { claimFolder, pidFilePath, stopFolder } from './pid-file';
import { isAlive, processIdentity } from './process-identity';

let out: string;
let children: ChildProcess[] = [];
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'surefoot-cli-'));
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(out, { recursive: true });
});

async function sleeper(script = 'setInterval(() => {}, 1000)'): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', `${script}; console.log('ready')`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(child);
  await once(child.stdout!, 'data');
  return child as ChildProcess & { pid: number };
}
const write = (owner: object, named: object[]) =>
  writeFile(pidFilePath(out), JSON.stringify({ owner, children: named.map((each) => ({ name: 'x', ...each })) }));

describe('an output folder', () => {
  test('is claimed once, and again after its release', async () => {
    const claim = await claimFolder(out);
    await expect(claimFolder(out)).rejects.toMatchObject({ kind: 'aborted' });
    await claim.release();
    await (await claimFolder(out)).release();
    expect(existsSync(pidFilePath(out))).toBe(false);
  });
  test('of a dead owner is taken over, and what it left running ends', async () => {
    const left = await sleeper();
    const identity = processIdentity(left.pid)!;
    await write({ pid: 999_999_999, identity: 'gone' }, [identity]);
    await claimFolder(out);
    expect(isAlive(identity)).toBe(false);
  });
});

describe('claims at once', () => {
  test.each([
    ['of a free folder', false],
    ['of a folder whose owner has died', true],
  ])('%s: one succeeds', async (_, stale) => {
    if (stale) await write({ pid: 999_999_999, identity: 'gone' }, []);
    const claims = await Promise.allSettled(Array.from({ length: 20 }, () => claimFolder(out)));
    expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const claim of claims)
      if (claim.status === 'rejected') expect(claim.reason).toMatchObject({ kind: 'aborted' });
    expect(await readdir(out)).toEqual(['surefoot.pid']);
  });
});

describe('a part of an output folder', () => {
  test('has a claim of its own: others may claim other parts, nobody the whole', async () => {
    const claims = await Promise.all(['a', 'b'].map((part) => claimFolder(out, part)));
    await expect(claimFolder(out, 'a')).rejects.toMatchObject({ kind: 'aborted' });
    await expect(claimFolder(out)).rejects.toThrow(`in use by process ${process.pid}`);
    await Promise.all(claims.map((claim) => claim.release()));
    const whole = await claimFolder(out);
    await expect(claimFolder(out, 'a')).rejects.toMatchObject({ kind: 'aborted' });
    await whole.release();
    expect(await readdir(out)).toEqual([]);
  });
});

describe('stopFolder', () => {
  test('ends exactly the processes that the file names', async () => {
    const [ours, stubborn, other] = [
      await sleeper(),
      await sleeper("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"),
      await sleeper(),
    ];
    const identities = [ours, stubborn].map(({ pid }) => processIdentity(pid)!);
    // The system has given the third number to another process since.
    await write(identities[0]!, [identities[1]!, { pid: other.pid, identity: 'an older process' }]);
    expect(await stopFolder(out, 300)).toBe(2);
    expect(identities.map(isAlive)).toEqual([false, false]);
    expect(other.exitCode).toBeNull();
    expect(existsSync(pidFilePath(out))).toBe(false);
  });
  test('has nothing to do where nothing was started', async () => {
    expect(await stopFolder(out, 300)).toBe(0);
  });
});
