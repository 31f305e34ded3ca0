import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ppoDefaults } from '@surefoot/ppo';
import { planRuns } from './plan';
import {
  collectRuns,
  createRunsSaver,
  hasBegun,
  readKeptLines,
  runJsonPath,
  writeFailedRun,
  writeRunJson,
  writeRunsFile,
  type RunLine,
} from './runs-file';

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'surefoot-cli-'));
});
afterEach(() => rm(out, { recursive: true }));

const plan = planRuns(
  { blocks: [{ name: 'a' }], methods: [{ name: 'vanilla', ppo: ppoDefaults }], runs: 3, seed: 1000 },
  [2],
);
const ended = {
  status: 'completed',
  iterations: 60,
  initial: { gold: 0.12, judge: -0.4 },
  final: { gold: 0.33, judge: 0.1, kl: 3.02, reward: 1.2 },
  peak: { gold: 0.6, iteration: 22 },
  trajectory: { gold: [0.1], kl: [0] },
  seconds: 31.2,
  id: 'not repeated',
};

describe('runs.jsonl', () => {
  test('has a line for each run that has ended, in index order, its fields in the documented order', async () => {
    await writeRunJson(out, plan[2]!.id, ended);
    await writeRunJson(out, plan[0]!.id, ended);
    await writeRunsFile(out, plan);
    const lines = (await readFile(join(out, 'runs.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toBe(
      '{"method":"vanilla","block":"a","run":2,"index":2,"member":0,"seed":1002,"status":"completed","iterations":60,' +
        '"initial":{"gold":0.12,"judge":-0.4},"final":{"gold":0.33,"judge":0.1,"kl":3.02,"reward":1.2},' +
        '"peak":{"gold":0.6,"iteration":22},"trajectory":{"gold":[0.1],"kl":[0]},"seconds":31.2}',
    );
  });
  test('keeps what the trainer warned of', async () => {
    await writeRunJson(out, plan[0]!.id, { ...ended, warnings: ['responses are cut'] });
    expect(await collectRuns(out, plan)).toMatchObject([{ warnings: ['responses are cut'] }]);
  });
  test('says what all runs of a data set are paid by, where that is no member', async () => {
    const ppo = { ...ppoDefaults, mode: 'uwo' as const };
    await writeRunJson(out, plan[0]!.id, ended);
    const [line] = await collectRuns(out, [{ ...plan[0]!, method: { name: 'uwo', ppo } }]);
    expect(line).toMatchObject({ member: 0, reward: 'mean' });
  });
  test('counts a run that its trainer could not finish', async () => {
    await writeFailedRun(out, plan[1]!, 'the trainer died');
    expect(await collectRuns(out, plan)).toMatchObject([{ index: 1, status: 'failed', iterations: 0 }]);
  });
  test('a damaged run.json is refused by name', async () => {
    await writeRunJson(out, plan[0]!.id, { status: 'completed' });
    await expect(collectRuns(out, plan)).rejects.toThrow(runJsonPath(out, plan[0]!.id));
    await writeFile(runJsonPath(out, plan[0]!.id), '{');
    await expect(collectRuns(out, plan)).rejects.toThrow('is not JSON');
  });
});

describe('of runs whose folder is gone', () => {
  const remove = (i: number) => rm(join(runJsonPath(out, plan[i]!.id), '..'), { recursive: true });
  const text = () => readFile(join(out, 'runs.jsonl'), 'utf8');
  let before: string;
  beforeEach(async () => {
    await writeRunJson(out, plan[0]!.id, ended);
    await writeFailedRun(out, plan[2]!, 'the trainer died');
    await writeRunsFile(out, plan);
    before = await text();
  });

  test('runs.jsonl keeps the lines as they are, among those of others', async () => {
    await remove(0);
    await writeRunsFile(out, plan);
    expect(await text()).toBe(before);
    await remove(2);
    await writeRunJson(out, plan[1]!.id, ended);
    expect((await writeRunsFile(out, plan)).map(({ index }) => index)).toEqual([0, 1, 2]);
    const lines = (await text()).split('\n');
    expect([lines[0], lines[2], ''].join('\n')).toBe(before);
  });

  test('no line is kept that is not of the plan, or whose run is done again', async () => {
    await remove(0);
    const otherSeed = plan.map((planned) => ({ ...planned, seed: planned.seed + 1 }));
    expect((await readKeptLines(out, otherSeed)).size).toBe(0);
    await mkdir(join(runJsonPath(out, plan[0]!.id), '..'));
    expect((await readKeptLines(out, plan)).size).toBe(0);
    expect((await writeRunsFile(out, plan)).map(({ index }) => index)).toEqual([2]);
  });

  test('a run.json wins over a line', async () => {
    await writeRunJson(out, plan[0]!.id, { ...ended, iterations: 7 });
    expect((await writeRunsFile(out, plan))[0]).toMatchObject({ iterations: 7 });
  });

  test('a malformed line is refused by name', async () => {
    await remove(0);
    await writeFile(join(out, 'runs.jsonl'), '{}\n');
    await expect(writeRunsFile(out, plan)).rejects.toThrow(`${join(out, 'runs.jsonl')} line 1`);
    expect(await text()).toBe('{}\n');
  });
});

describe('a saver', () => {
  const indices = (lines: RunLine[]) => lines.map(({ index }) => index);

  test('reads a completed run once, and one that failed as often as it is done again', async () => {
    await writeRunJson(out, plan[0]!.id, ended);
    await writeFailedRun(out, plan[1]!, 'the trainer died');
    const saver = await createRunsSaver(out, plan, plan.slice(1));
    await saver.save();
    await writeFile(runJsonPath(out, plan[0]!.id), 'no longer read');
    await writeRunJson(out, plan[1]!.id, ended);
    expect((await saver.save()).map(({ status }) => status)).toEqual(['completed', 'completed']);
  });

  test('has what had ended when it was asked, however many ask at once', async () => {
    const saver = await createRunsSaver(out, plan, plan);
    const saves = plan.map(async ({ id }, i) => {
      await writeRunJson(out, id, ended);
      expect(indices(await saver.save())).toContain(i);
    });
    await Promise.all(saves);
    await saver.saved();
    expect((await readFile(join(out, 'runs.jsonl'), 'utf8')).split('\n')).toHaveLength(4);
  });

  test('keeps no line of a run that is to be done again', async () => {
    await writeRunJson(out, plan[0]!.id, ended);
    await writeRunJson(out, plan[1]!.id, ended);
    await writeRunsFile(out, plan);
    await rm(join(out, 'runs'), { recursive: true });
    expect(indices(await (await createRunsSaver(out, plan, plan.slice(1))).save())).toEqual([0]);
  });
});

test('more runs than a process may open files are read all the same', async () => {
  const runs = 300;
  const many = Array.from({ length: runs }, (_, run) => ({ ...plan[0]!, run, index: run, id: `vanilla-a-${run}` }));
  for (const { id } of many) await writeRunJson(out, id, ended);
  const count = `
    const { collectRuns } = require('./runs-file');
    const { out, many } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
    collectRuns(out, many).then(({ length }) => process.stdout.write(String(length)));
  `;
  const limited = `ulimit -n 128 && exec "${process.execPath}" -e "$1"`;
  const cwd = join(__dirname, '../../dist/experiment');
  const options = { cwd, encoding: 'utf8', input: JSON.stringify({ out, many }) } as const;
  expect(execFileSync('bash', ['-c', limited, 'bash', count], options)).toBe(String(runs));
});

/** What a pod does when its run has ended: its run.json is written, then runs.jsonl. A message names folder, plan and run. */
const pod = `
  const { writeRunJson, writeRunsFile } = require('./runs-file');
  process.on('message', async ({ folder, plan, planned, ended }) => {
    await writeRunJson(folder, planned.id, ended);
    await writeRunsFile(folder, plan);
    process.send('done');
  });
  process.send('ready');
`;

test('of several processes whose runs end at once, the last one to write runs.jsonl has all', async () => {
  const cwd = join(__dirname, '../../dist/experiment');
  const pods = plan.map(() =>
    spawn(process.execPath, ['-e', pod], { cwd, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] }),
  );
  const answers = () => Promise.all(pods.map((child) => once(child, 'message')));
  try {
    await answers();
    for (let round = 0; round < 50; round++) {
      const folder = join(out, String(round));
      const answered = answers();
      pods.forEach((child, i) => child.send({ folder, plan, planned: plan[i], ended }));
      await answered;
      const lines = (await readFile(join(folder, 'runs.jsonl'), 'utf8')).trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual([0, 1, 2]);
    }
  } finally {
    for (const child of pods) child.kill();
  }
}, 120_000);

describe('a run has begun', () => {
  const begun = () => hasBegun(out, plan[0]!);
  test('with its first checkpoint, and not by a start that failed', async () => {
    expect(await begun()).toBe(false);
    await writeFailedRun(out, plan[0]!, 'a wrong setting');
    await mkdir(join(runJsonPath(out, plan[0]!.id), '../checkpoints'));
    expect(await begun()).toBe(false);
    await writeFile(join(runJsonPath(out, plan[0]!.id), '../checkpoints/0000000.safetensors'), '');
    expect(await begun()).toBe(true);
  });
  test.each([
    [{ status: 'completed', iterations: 0 }, true],
    [{ status: 'failed', iterations: 3 }, true],
    [{ status: 'failed', iterations: 0 }, false],
  ])('where only run.json is here, %j: %s', async (record, expected) => {
    await writeRunJson(out, plan[0]!.id, record);
    expect(await begun()).toBe(expected);
  });
});
