import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { expectDone, surefoot, timelessRuns, tinyQuickstart, workFolder, type Ended } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
let first: Ended;
beforeAll(async () => {
  work = await workFolder();
  first = await surefoot([...tinyQuickstart, '--out', 'first', '--json'], { cwd: work.path });
}, 300_000);
afterAll(() => work.remove());

describe('quickstart', () => {
  test('ends well, with one JSON document on stdout that claims no more than its runs show', () => {
    expectDone(first);
    const { html, verdict, report } = JSON.parse(first.stdout) as { html: string; verdict: string; report: object };
    expect(existsSync(resolve(work.path, html))).toBe(true);
    expect(verdict).toContain('too few runs to tell');
    expect(report).toMatchObject({ measure: 'gold', comparisons: [{ a: 'vanilla', b: 'variance-weighted-kl' }] });
  });
  test('leaves every file of the contract, and no number that is not finite', async () => {
    const out = join(work.path, 'first');
    const files = [
      'experiment.yaml',
      'runs.jsonl',
      'report.json',
      'report.html',
      'ensemble/ensemble.json',
      'judge/ensemble.json',
    ];
    for (const file of files) expect([file, existsSync(join(out, file))]).toEqual([file, true]);
    const runs = await readdir(join(out, 'runs'));
    expect(runs.sort()).toEqual(['vanilla-data-11-0', 'variance-weighted-kl-data-11-0']);
    for (const run of runs) {
      const names = await readdir(join(out, 'runs', run));
      for (const name of ['metrics.jsonl', 'checkpoints', 'evaluation.jsonl.gz', 'model', 'run.json'])
        expect(names).toContain(name);
    }
    const written = ['experiment.yaml', 'runs.jsonl', 'report.json'].map((file) =>
      readFileSync(join(out, file), 'utf8'),
    );
    for (const text of written) expect(text).not.toMatch(/NaN|Infinity|\.inf/i);
    const lines = written[1]!
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toMatchObject([
      {
        method: 'vanilla',
        block: 'data-11',
        run: 0,
        index: 0,
        member: 0,
        seed: 1000,
        status: 'completed',
        iterations: 2,
      },
      { method: 'variance-weighted-kl', index: 1, member: 0, seed: 1000, status: 'completed', iterations: 2 },
    ]);
    // The start policy is the same for all, and so are the dice of its evaluation.
    expect(lines[0]!['initial']).toEqual(lines[1]!['initial']);
  });
  test('leaves nothing running and gives its folder up', async () => {
    expect(existsSync(join(work.path, 'first', 'surefoot.pid'))).toBe(false);
    expect(processesNaming(work.path)).toEqual([]);
  });
  test('into the same folder does nothing again, and ends with the same files', async () => {
    const before = await readFile(join(work.path, 'first', 'runs.jsonl'), 'utf8');
    const again = await surefoot([...tinyQuickstart, '--out', 'first'], { cwd: work.path });
    expect(again.status).toBe(0);
    expect(again.stdout).toContain('report: ');
    expect(await readFile(join(work.path, 'first', 'runs.jsonl'), 'utf8')).toBe(before);
  }, 120_000);
  test('into the same folder needs no flags again, and refuses other values before it does anything', async () => {
    const finished = await surefoot(['quickstart', '--out', 'first'], { cwd: work.path });
    expectDone(finished);
    const words = ['quickstart', '--out', 'first', '--members', '5', '--runs', '1'];
    const refused = await surefoot(words, { cwd: work.path });
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain('made with --members 2, not 5');
    expect(refused.stderr).not.toContain('--runs');
  }, 120_000);
  test('of one member is refused at once', async () => {
    const refused = await surefoot(['quickstart', '--out', 'one', '--members', '1'], { cwd: work.path });
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toContain('--members must be at least 2');
    expect(existsSync(join(work.path, 'one'))).toBe(false);
  });
  test('in another folder gives the same runs but for seconds', async () => {
    expectDone(await surefoot([...tinyQuickstart, '--out', 'second'], { cwd: work.path }));
    expect(await timelessRuns(join(work.path, 'second'))).toBe(await timelessRuns(join(work.path, 'first')));
  }, 300_000);
  test('its ensemble says which responses to have labelled next', async () => {
    const evaluation = gunzipSync(readFileSync(join(work.path, 'first/runs/vanilla-data-11-0/evaluation.jsonl.gz')));
    const rollouts = evaluation
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number; prompt: string; initial: { response: string } })
      .filter(({ initial }) => initial.response !== '');
    const input = rollouts
      .map(({ index, prompt, initial }) => `${JSON.stringify({ id: index, prompt, response: initial.response })}\n`)
      .join('');
    const select = async (...words: string[]) => {
      const asked = ['reward', 'select', '--ensemble', 'first/ensemble', '--in', '-', ...words];
      const ended = await surefoot(asked, { cwd: work.path, input });
      expectDone(ended);
      return ended.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    };
    const responses = await select('--top', '5');
    expect(responses).toHaveLength(5);
    expect(responses[0]).toMatchObject({ rank: 1, prompt: expect.any(String), response: expect.any(String) });
    const all = await select('--top', '1000');
    expect(all).toHaveLength(rollouts.length);
    expect(all.slice(0, 5)).toEqual(responses);
    const disagreements = all.map(({ disagreement }) => disagreement as number);
    expect(disagreements).toEqual(disagreements.toSorted((a, b) => b - a));
    const pairs = await select('--top', '3', '--pairs');
    expect(pairs).toHaveLength(3);
    expect(new Set(pairs.map(({ prompt }) => prompt)).size).toBe(3);
    const [{ prompt, first: one, second: other }] = pairs;
    for (const { id, response } of [one, other])
      expect(rollouts).toContainEqual(
        expect.objectContaining({ index: id, prompt, initial: expect.objectContaining({ response }) }),
      );
  }, 60_000);
  test('report recomputes the same figures from runs.jsonl alone', async () => {
    const report = await readFile(join(work.path, 'first', 'report.json'), 'utf8');
    const runs = await readFile(join(work.path, 'first', 'runs.jsonl'));
    await mkdir(join(work.path, 'alone'));
    await writeFile(join(work.path, 'alone', 'runs.jsonl'), runs);
    expectDone(await surefoot(['report', 'alone'], { cwd: work.path }));
    expect(await readFile(join(work.path, 'alone', 'report.json'), 'utf8')).toBe(report);
  }, 60_000);
});

/** Command lines and environments that hold `text`, where the system shows them. */
function processesNaming(text: string): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`SUREFOOT_MODEL=${text}`);
      } catch {
        return false; // it has ended
      }
    });
}
