import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sha256, startHub, type TestHub } from '../hub/testing';
import { expectDone, start, surefoot, until, workFolder } from './testing';

const weights = Buffer.alloc(3_000_000, 'weights ');
const digest = sha256(weights);
let work: Awaited<ReturnType<typeof workFolder>>;
let hub: TestHub;
beforeEach(async () => {
  work = await workFolder();
  hub = await startHub('org/tiny', [
    { path: 'config.json', content: Buffer.from('{}'), lfs: false },
    { path: 'model.safetensors', content: weights, lfs: true },
  ]);
});
afterEach(async () => {
  await hub.close();
  await work.remove();
});

const words = ['model', 'pull', 'org/tiny', '--out', 'tiny', '--json'];
const surroundings = () => ({ cwd: work.path, env: { HF_ENDPOINT: hub.endpoint, HF_HOME: join(work.path, 'hf') } });

test.each(['SIGINT', 'SIGKILL'] as const)('a pull that %s ends goes on where it was', async (signal) => {
  const half = weights.length / 2;
  hub.intercept = (_, response, host) => {
    if (host !== 'store') return false;
    response.writeHead(206, { 'content-range': `bytes 0-${weights.length - 1}/${weights.length}` });
    return (response.write(weights.subarray(0, half)), true);
  };
  const running = start(words, surroundings());
  const partial = join(work.path, 'hf/hub/models--org--tiny/blobs', `${digest}.surefoot.incomplete`);
  const hasHalf = () => existsSync(partial) && hub.asked.some(({ host }) => host === 'store');
  await until(hasHalf, running);
  while ((await stat(partial)).size < half) await new Promise((settle) => setTimeout(settle, 10));
  running.child.kill(signal);
  const ended = await running.ended;
  if (signal === 'SIGINT') {
    expect(ended).toMatchObject({ status: 130, stdout: '' });
    expect(ended.stderr).toMatch(/^surefoot: interrupted; what has arrived is kept: run the same command to go on\n$/);
  }
  expect(existsSync(join(work.path, 'tiny'))).toBe(false);
  hub.intercept = undefined;
  const again = await surefoot(words, surroundings());
  expectDone(again);
  expect(hub.asked.filter(({ host }) => host === 'store').map(({ range }) => range)).toEqual([
    'bytes=0-',
    `bytes=${half}-`,
  ]);
  expect(JSON.parse(again.stdout)).toMatchObject({ downloadedBytes: half, bytes: weights.length + 2 });
  expect((await readFile(join(work.path, 'tiny/model.safetensors'))).equals(weights)).toBe(true);
});

test('a name that is none is wrong usage; an unknown repository a failure that says so', async () => {
  const wrong = await surefoot(['model', 'pull', '../x', '--out', 'tiny'], surroundings());
  expect(wrong).toMatchObject({ status: 2, stdout: '' });
  expect(wrong.stderr).toContain('must be ORG/NAME');
  const unknown = await surefoot(['model', 'pull', 'org/other', '--out', 'tiny'], surroundings());
  expect(unknown).toMatchObject({ status: 1, stdout: '' });
  expect(unknown.stderr).toMatch(/^surefoot: .* has no (such revision of it: )?org\/other/);
});
