import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { expectDone, surefoot, tinyQuickstart, workFolder } from './testing';

jest.setTimeout(300_000);

// Two real runs: one on a reward model of the judge's own preferences, one on a reward model of their opposites.
let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
  const run = async (...words: string[]) => expectDone(await surefoot(words, { cwd: work.path }));
  await run(...tinyQuickstart, '--base-steps', '120', '--judge-pairs', '600', '--out', 'task');
  const pairs = (await readFile(join(work.path, 'task/task/judge-pairs.jsonl'), 'utf8')).trim().split('\n');
  const swapped = pairs.map((line) => {
    const { prompt, chosen, rejected } = JSON.parse(line);
    return JSON.stringify({ prompt, chosen: rejected, rejected: chosen });
  });
  await writeFile(join(work.path, 'liked.jsonl'), pairs.join('\n'));
  await writeFile(join(work.path, 'disliked.jsonl'), swapped.join('\n'));
  for (const kind of ['liked', 'disliked']) {
    const like = ['--like', 'task/task/judge-config.json', '--tokenizer', 'task/task/base'];
    const fit = [...like, '--pairs', `${kind}.jsonl`, '--members', '1', '--seed', '5', '--epochs', '2', '--out', kind];
    await run('reward', 'train', ...fit);
    const ppo = { mode: 'vanilla', iterations: 12, learningRate: 2e-3, referenceSamples: 240, evaluationSamples: 240 };
    const file = {
      ...{ policy: 'task/task/base', prompts: 'task/task/prompts.jsonl', ensemble: kind, judge: 'task/judge' },
      ...{ method: 'vanilla', seed: 3, ppo },
    };
    await writeFile(join(work.path, `${kind}.yaml`), JSON.stringify(file));
    await run('train', '--config', `${kind}.yaml`, '--name', kind, '--out', 'runs-of-both');
  }
});
afterAll(() => work.remove());

const gate = (...words: string[]) => surefoot(['gate', ...words], { cwd: work.path });

test('a run that got better passes, with the figures', async () => {
  const ended = await gate('runs-of-both', '--run', 'liked', '--json');
  expectDone(ended);
  const { mean, lower, passed, prompts, responses } = JSON.parse(ended.stdout);
  expect(passed).toBe(true);
  expect(lower).toBeGreaterThan(0);
  expect(mean).toBeGreaterThan(lower);
  expect([prompts, responses]).toEqual([24, 240]);
});

test('and is stopped where more is asked for', async () => {
  const { status, stdout, stderr } = await gate('runs-of-both/runs/liked', '--min-gain', '50');
  expect(status).toBe(1);
  expect(stdout).toBe('stopped\n');
  expect(stderr).toMatch(/run liked: judged gain .*, which does not reach 50/);
});

test('a run that got worse is stopped', async () => {
  const { status, stdout } = await gate('runs-of-both', '--run', 'disliked', '--json');
  expect(status).toBe(1);
  const { mean, passed } = JSON.parse(stdout);
  expect(mean).toBeLessThan(0);
  expect(passed).toBe(false);
});

test('a surer bound is a lower one', async () => {
  const lowerAt = async (confidence: string) =>
    JSON.parse((await gate('runs-of-both', '--run', 'liked', '--confidence', confidence, '--json')).stdout).lower;
  expect(await lowerAt('0.99')).toBeLessThan(await lowerAt('0.9'));
});

test.each([
  [['runs-of-both'], 2, 'holds 2 runs: name one by --run'],
  [['runs-of-both', '--run', 'none'], 1, 'holds no run none that has ended; there are disliked, liked'],
  [['task/task'], 1, 'holds no run that has ended: give the folder of train, of an experiment, or of one run'],
  [['nowhere'], 1, 'nowhere does not exist'],
  [['runs-of-both', '--confidence', '95'], 2, 'must be at most 0.9999'],
])('%j is refused', async (words, status, message) => {
  const ended = await gate(...words);
  expect(ended.stderr).toContain(message);
  expect(ended.status).toBe(status);
});
