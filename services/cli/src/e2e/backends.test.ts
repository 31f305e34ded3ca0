import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inspectTensorflow } from '@surefoot/tensor';
import { stringify } from 'yaml';
import { expectDone, surefoot, timelessRuns, tinyQuickstart, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => void (work = await workFolder()));
afterAll(() => work.remove());
const at = (...path: string[]) => join(work.path, ...path);

const { problem, version } = inspectTensorflow();
// Loudly: jest's global setup says why there is none.
(problem === undefined ? describe : describe.skip)('on TensorFlow', () => {
  const run = (...words: string[]) => surefoot([...words, '--backend', 'tensorflow'], { cwd: work.path });
  const policy = (out: string) =>
    readFileSync(at(out, 'runs', 'variance-weighted-kl-data-11-0', 'model', 'model.safetensors'));

  beforeAll(async () => {
    // One by flag, one by environment.
    expectDone(await run(...tinyQuickstart, '--out', 'first'));
    const env = { SUREFOOT_BACKEND: 'tensorflow' };
    expectDone(await surefoot([...tinyQuickstart, '--out', 'second'], { cwd: work.path, env }));
  }, 300_000);

  test('the whole loop gives the same bytes twice, and says what computed it', async () => {
    expect(policy('second').equals(policy('first'))).toBe(true);
    expect(await timelessRuns(at('second'))).toBe(await timelessRuns(at('first')));
    const experiment = await readFile(at('first', 'experiment.yaml'), 'utf8');
    expect(experiment).toMatch(new RegExp(`backend: tensorflow \\(tuned ${version} `));
    for (const log of ['trainer-1', 'judge', 'ensemble-data-11']) {
      const [, second] = (await readFile(at('first', 'logs', `${log}.log`), 'utf8')).split('\n');
      expect(JSON.parse(second!)).toMatchObject({
        msg: 'backend opened',
        backend: {
          name: 'tensorflow',
          version,
          kernelBuild: 'tuned',
          reason: expect.stringMatching(/^tensorflow was asked/),
        },
      });
    }
  });

  test('an experiment goes on only on what it began with', async () => {
    const refused = await surefoot(['quickstart', '--out', 'first', '--backend', 'wasm'], { cwd: work.path });
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain('--backend tensorflow, not wasm');
    const again = await run('quickstart', '--out', 'first');
    expectDone(again);
  }, 120_000);

  test('an experiment goes on with the threads it began with, whatever the workers, to the same bytes', async () => {
    const config = {
      ...{ name: 'threads', policy: 'first/task/base', judge: 'first/judge', prompts: 'first/task/prompts.jsonl' },
      ...{ blocks: [{ name: 'a', ensemble: 'first/ensemble' }], methods: ['vanilla'], runs: 2 },
      ppo: { iterations: 1, referenceSamples: 64, evaluationSamples: 64 },
    };
    await writeFile(at('threads.yaml'), stringify(config));
    const experiment = (out: string, ...more: string[]) => [
      'experiment',
      ...more,
      '--config',
      'threads.yaml',
      '--out',
      out,
    ];
    const weights = (out: string) => readFileSync(at(out, 'runs', 'vanilla-a-1', 'model', 'model.safetensors'));
    // As on a machine whose share is two threads.
    const two = { SUREFOOT_THREADS: '2', SUREFOOT_BACKEND: 'tensorflow' };
    expectDone(await surefoot(experiment('whole', 'run', '--workers', '1'), { cwd: work.path, env: two }));
    expect(await readFile(at('whole', 'experiment.yaml'), 'utf8')).toMatch(/CPU 2 threads\)\n +threads: 2\n/);
    const index = await surefoot([...experiment('part', 'index'), '--index', '0'], { cwd: work.path, env: two });
    expectDone(index);
    expectDone(await run(...experiment('part', 'run', '--workers', '2', '--resume')));
    expect(weights('part').equals(weights('whole'))).toBe(true);
    expect(await timelessRuns(at('part'))).toBe(await timelessRuns(at('whole')));
    const other = await surefoot(experiment('part', 'run', '--resume'), {
      cwd: work.path,
      env: { ...two, SUREFOOT_THREADS: '1' },
    });
    expect(other).toMatchObject({ status: 1, stdout: '' });
    expect(other.stderr).toMatch(/CPU 2 threads\), now tensorflow .*CPU 1 thread\)/);
  }, 180_000);

  test('every command that computes does', async () => {
    const task = 'first/task';
    await writeFile(
      at('rollouts.jsonl'),
      `${JSON.stringify({ prompt: 'how is the soup ?', response: 'sure the soup is tasty .' })}\n`,
    );
    await writeFile(at('text.txt'), 'how is the soup ?\n');
    const config = {
      ...{ policy: `${task}/base`, ensemble: 'first/ensemble', prompts: `${task}/prompts.jsonl`, method: 'uwo' },
      ppo: { iterations: 1, referenceSamples: 64, evaluationSamples: 64 },
    };
    await writeFile(at('run.yaml'), stringify(config));
    const rollouts = ['--in', 'rollouts.jsonl'];
    const model = ['--model', `${task}/base`];
    for (const words of [
      ['generate', ...model, ...rollouts, '--max-new-tokens', '4'],
      ['logprobs', ...model, ...rollouts],
      ['score', '--ensemble', 'first/ensemble', ...rollouts],
      ['model', 'pretrain', ...model, '--text', 'text.txt', '--steps', '2', '--out', 'pretrained'],
      ['train', '--config', 'run.yaml', '--out', 'trained'],
    ])
      expectDone(await run(...words));
  }, 120_000);
});

describe('SUREFOOT_BACKEND', () => {
  const words = ['task', 'write', 'task'];
  const nowhere = () => ({ SUREFOOT_BACKEND: 'tensorflow', SUREFOOT_TENSORFLOW_DIR: at('nothing') });

  test('stands in for the flag, and is named where it is wrong', async () => {
    const missing = await surefoot(words, { cwd: work.path, env: nowhere() });
    expect(missing).toMatchObject({ status: 1, stdout: '' });
    expect(missing.stderr).toBe(
      'surefoot: backend tensorflow: native TensorFlow is not installed; run npm run install:tensorflow\n',
    );
    const wrong = await surefoot(words, { cwd: work.path, env: { SUREFOOT_BACKEND: 'cuda' } });
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^surefoot: SUREFOOT_BACKEND must be one of auto, tensorflow, webgpu, wasm, cpu/);
  });

  test('gives way to the flag; SUREFOOT_REQUIRE_GPU holds for every backend', async () => {
    const env = { ...nowhere(), SUREFOOT_REQUIRE_GPU: '1' };
    const refused = await surefoot([...words, '--backend', 'wasm'], { cwd: work.path, env });
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^surefoot: a GPU is required, and wasm computes on the CPU/);
  });
});
