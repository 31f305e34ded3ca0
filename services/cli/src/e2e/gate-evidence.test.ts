import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
beforeEach(async () => {
  work = await workFolder();
});
afterEach(() => work.remove());

const completed = '{"status":"completed"}';

/** One line of an evaluation. */
const line = (prompt: string, final: number | undefined, initial: number | undefined = 0) =>
  JSON.stringify({
    ...{ index: 0, prompt, initial: { response: '', judge: initial } },
    ...(final !== undefined && { final: { response: '', judge: final } }),
  });
/** An answer to each of the prompts 0, 1, … */
const lines = (...finals: number[]) => finals.map((final, prompt) => line(`${prompt}`, final));
const better = lines(1, 1.01, 1.02, 1.03, 1.04);

/** Writes a folder as a run leaves it. */
async function writeRun(name: string, run: string | undefined, evaluation: Buffer | string[], samples?: number) {
  const folder = join(work.path, name);
  await mkdir(folder, { recursive: true });
  if (run !== undefined) await writeFile(join(folder, 'run.json'), run);
  const packed = Array.isArray(evaluation) ? gzipSync(evaluation.join('\n')) : evaluation;
  await writeFile(join(folder, 'evaluation.jsonl.gz'), packed);
  if (samples !== undefined)
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ppo: { evaluationSamples: samples } }));
}

async function expectGate(words: string[], status: number, message: string) {
  const ended = await surefoot(['gate', ...words], { cwd: work.path });
  expect(ended).toMatchObject({ status, stderr: expect.stringContaining(message) });
  expect(ended.stderr.split('\n').length).toBe(status === 0 ? 1 : 2);
}

describe('what does not hold all that its run wrote stops', () => {
  const failed = '{"status":"failed","error":{"code":"UNKNOWN","message":"the KL ran away"}}';
  const unjudged = '{"index":5,"prompt":"5","initial":{"response":""},"final":{"response":""}}';
  test.each<[string, string, string[], string]>([
    ['half a line', completed, [...better, '{"index":'], 'evaluation.jsonl.gz is damaged: line 6'],
    ['another line', completed, [...better, '{}'], 'damaged: line 6: not an evaluation'],
    ['no end', completed, [...better, line('5', undefined)], 'evaluation.jsonl.gz: line 6 has no final response'],
    [
      'no score',
      completed,
      [...better, unjudged],
      'evaluation.jsonl.gz: responses without a score of the judge: 1 of 6',
    ],
    ['no judge', completed, [unjudged], 'run has no judged responses in evaluation.jsonl.gz'],
    ['failure', failed, better, 'run run failed (the KL ran away): there is nothing to let through'],
    ['cancellation', '{"status":"cancelled"}', [], 'run run cancelled: there is nothing to let through'],
    ['no state', '{}', better, 'run.json does not say how its run ended'],
  ])('%s', async (_, run, evaluation, message) => {
    await writeRun('run', run, evaluation);
    await expectGate(['run'], 1, message);
  });

  test('as does an evaluation that is cut off, in a line or between two', async () => {
    const whole = gzipSync(Array.from({ length: 200 }, (_, i) => line(`${i}`, 1 + Math.sin(i) / 9)).join('\n'));
    await writeRun('cut', completed, whole.subarray(0, whole.length / 2));
    await expectGate(['cut'], 1, 'evaluation.jsonl.gz');
    await writeRun('short', completed, better, 6);
    await expectGate(['short'], 1, 'evaluation.jsonl.gz holds 5 of 6 responses');
    await writeRun('whole', completed, better, 5);
    await expectGate(['whole'], 0, '');
  });
});

describe('what says nothing of other prompts stops', () => {
  test.each<[string, string[], string]>([
    ['one prompt, answered twice', [line('a', 1), line('a', 1)], 'only 1 prompt was judged, a bound needs 5'],
    ['four prompts', better.slice(0, 4), 'only 4 prompts were judged, a bound needs 5'],
    ['a policy that has not changed', lines(0, 0, 0, 0, 0, 0), 'every prompt gained 0.000'],
    ['a judge that adds the same to everything', lines(1, 1, 1, 1, 1, 1), 'every prompt gained 1.000'],
  ])('%s', async (_, evaluation, message) => {
    await writeRun('run', completed, evaluation);
    await expectGate(['run'], 1, message);
    await expectGate(['run', '--min-gain', '-1'], 1, message);
  });

  test('five prompts are let through, and --help says so', async () => {
    await writeRun('run', completed, better);
    await expectGate(['run', '--min-gain', '0.99'], 0, '');
    const { stdout } = await surefoot(['gate', '--help'], { cwd: work.path });
    expect(stdout.replace(/\s+/g, ' ')).toContain('over the prompts, at least 5');
  });
});

describe('the figures say what the answer does', () => {
  // Six gains, three on each side: the sd is 1.0954 of `by`, and the margin 2.0150 sd / sqrt 6.
  const about = (mean: number, by: number) => lines(...[1, -1, 1, -1, 1, -1].map((sign) => mean + sign * by));
  test.each<[string, string[], string, number, string]>([
    [
      'just short',
      about(0.15, 0.05553),
      '0.1',
      1,
      'above 0.09996 with 95 % confidence (6 responses to 6 prompts), which does not reach 0.1',
    ],
    ['in small units', about(3e-5, 1e-6), '1', 1, 'judged gain 0.00003000, above 0.00002910 with'],
    ['short by less than any digit shown', about(0.1 - 1e-12, 1e-13), '0.1', 1, 'above 0.09999999999'],
  ])('%s', async (_, evaluation, least, status, message) => {
    await writeRun('run', completed, evaluation);
    await expectGate(['run', '--min-gain', least], status, message);
  });
  test('just far enough for a threshold of many digits', async () => {
    await writeRun('run', completed, about(0.1234567, 1e-9));
    const { stdout } = await surefoot(['gate', 'run', '--min-gain', '0.1234566'], { cwd: work.path });
    expect(stdout).toContain('passed at 0.1234566');
    expect(Number(/above (\S+)/.exec(stdout)![1])).toBeGreaterThanOrEqual(0.1234566);
  });
  test('gains that are all the same, in small units', async () => {
    await writeRun('run', completed, lines(2e-5, 2e-5, 2e-5, 2e-5, 2e-5));
    await expectGate(['run'], 1, 'every prompt gained 0.000020:');
  });
});

describe('of several runs one is to be named', () => {
  beforeEach(async () => {
    await writeRun('several/runs/a', completed, better);
    await writeRun('several/runs/b', undefined, lines(-1, -2, -3, -4, -5));
    await writeFile(join(work.path, 'several/runs/notes.txt'), '');
    await mkdir(join(work.path, 'several/runs/.c.part'));
  });
  test.each<[string[], number, string]>([
    [[], 2, 'several holds 2 runs: name one by --run, such as a'],
    [['--run', 'a'], 0, ''],
    [['--run', 'b'], 1, 'holds no run b that has ended'],
  ])('also where one alone has ended: %j', async (words, status, message) => {
    await expectGate(['several', ...words], status, message);
  });

  test('of one run there is no doubt', async () => {
    await writeRun('one/runs/a', completed, better);
    await expectGate(['one'], 0, '');
  });
});
