import { readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inspectTensorflow } from '@surefoot/tensor';
import { goldenPath } from '@surefoot/tensor/testing';
import { expectDone, surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const golden = goldenPath('models', 'gemma');
(golden ? describe : describe.skip)('weights of a model', () => {
  const at = (...path: string[]) => join(work.path, ...path);
  const run = (...words: string[]) => surefoot(words, { cwd: work.path });
  const create = (out: string, ...more: string[]) =>
    run('model', 'create', '--like', join(golden!, 'config.json'), '--tokenizer', golden!, '--out', out, ...more);

  beforeAll(async () => {
    work = await workFolder();
    expectDone(await create('wide', '--seed', '3'));
    expectDone(await create('brain', '--seed', '3', '--dtype', 'bf16'));
    await writeFile(at('in.jsonl'), '{"id":1,"ids":[5,9,30,2,7]}\n{"id":2,"ids":[8,2]}\n');
  });
  afterAll(() => work.remove());

  test('a model is created in bf16, and the same by a conversion of the one in float32', async () => {
    expectDone(await run('model', 'convert', '--model', 'wide', '--out', 'converted', '--dtype', 'bf16'));
    for (const name of ['model.safetensors', 'config.json'])
      expect(readFileSync(at('converted', name)).equals(readFileSync(at('brain', name)))).toBe(true);
    expect(JSON.parse(readFileSync(at('brain', 'config.json'), 'utf8'))).toMatchObject({ torch_dtype: 'bfloat16' });
    const { stdout } = await run('model', 'convert', '--model', 'brain', '--out', 'again', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ folder: 'again', dtype: 'bf16' });
  });

  test('weights are divided into files of the size asked for', async () => {
    expectDone(await create('shards', '--seed', '3', '--max-shard-size', '100KB'));
    expect((await readdir(at('shards'))).filter((name) => name.endsWith('.safetensors')).length).toBeGreaterThan(1);
    expectDone(await run('model', 'convert', '--model', 'shards', '--out', 'joined'));
    expect(readFileSync(at('joined', 'model.safetensors')).equals(readFileSync(at('wide', 'model.safetensors')))).toBe(
      true,
    );
    const refused = await create('other', '--max-shard-size', 'much');
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toContain('must be a size such as 500MB or 5GB');
  });

  (inspectTensorflow().problem === undefined ? test : test.skip)(
    'log-probabilities of mapped weights are those of the same weights in float32',
    async () => {
      const logprobs = async (weights: string) => {
        const options = ['--in', 'in.jsonl', '--backend', 'tensorflow', '--weights', weights];
        const done = await run('logprobs', '--model', 'brain', ...options);
        expectDone(done);
        return done.stdout
          .trimEnd()
          .split('\n')
          .flatMap((line) => (JSON.parse(line) as { logprobs: number[] }).logprobs);
      };
      expect(await logprobs('bf16-mapped')).toBeAllclose(await logprobs('f32'), { atol: 2e-5 });
      const generate = await run(
        ...['generate', '--model', 'brain', '--in', 'in.jsonl', '--backend', 'tensorflow'],
        ...['--weights', 'bf16-mapped', '--max-new-tokens', '4', '--greedy'],
      );
      expectDone(generate);
    },
  );

  test('weights that cannot be held as asked for are refused with what to do', async () => {
    const refused = async (words: string[], message: string) => {
      const done = await run(...words, '--weights', 'bf16-mapped');
      expect(done).toMatchObject({ status: 1, stdout: '' });
      expect(done.stderr).toContain(message);
    };
    const logprobs = ['logprobs', '--in', 'in.jsonl', '--backend', 'wasm', '--model'];
    await refused([...logprobs, 'brain'], 'backend wasm cannot map them, tensorflow on a CPU can');
    await writeFile(at('text.txt'), 'a text\n');
    await refused(
      ['model', 'pretrain', '--model', 'brain', '--text', 'text.txt', '--out', 'trained'],
      'weights bf16-mapped cannot be trained',
    );
  });
});
