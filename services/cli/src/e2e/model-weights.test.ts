import { readFileSync } from 'node:fs';
import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { GenerateRequest, PolicyTrainerClient } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { callServerStream, createClient } from '@surefoot/service';
import { inspectTensorflow } from '@surefoot/tensor';
import { goldenPath, shiftValues } from '@surefoot/tensor/testing';
import { expectDone, start, surefoot, workFolder } from './testing';

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
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
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

  (inspectTensorflow().problem === undefined ? test : test.skip)(
    'BF16 weights that have to be copied are told of by every command and service that loads them',
    async () => {
      await cp(at('brain'), at('shifted'), { recursive: true });
      await shiftValues(at('shifted', 'model.safetensors'));
      const rows = ['soup', 'cake', 'tea'].map((word) => ({ prompt: 'what ?', chosen: word, rejected: 'none' }));
      const write = (name: string, lines: object[]) =>
        writeFile(at(name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      await write('pairs.jsonl', rows);
      await write(
        'rollouts.jsonl',
        rows.map(({ prompt, chosen }) => ({ prompt, response: chosen })),
      );
      const mapped = ['--backend', 'tensorflow', '--weights', 'bf16-mapped'];
      const warn = 40;
      const copied = /\d+ matrices do not begin at a multiple of 64 bytes and are copied into memory/;
      for (const words of [
        ['reward', 'train', '--kind', 'heads', '--base', 'shifted', '--pairs', 'pairs.jsonl', '--out', 'heads'],
        ['reward', 'calibrate', '--ensemble', 'heads', '--in', 'rollouts.jsonl'],
        ['score', '--ensemble', 'heads', '--in', 'rollouts.jsonl'],
      ]) {
        const done = await run(...words, ...mapped);
        expectDone(done);
        expect(done.stderr.match(new RegExp(copied, 'g'))).toHaveLength(1);
      }

      const scorer = await served(['reward-ensemble', '--model', 'heads', ...mapped]);
      expect(scorer.log.filter(({ msg }) => copied.test(msg))).toMatchObject([{ level: warn }]);
      const trainer = await served(['policy-trainer', '--data-dir', '.', '--runs-dir', 'runs', ...mapped]);
      const client = createClient(PolicyTrainerClient, trainer.address);
      const request = GenerateRequest.fromPartial({ policy: 'shifted', prompts: ['what ?'], maxNewTokens: 2 });
      const answers: unknown[] = [];
      for await (const answer of callServerStream(client, 'generate', request, { deadlineMs: 20_000 }))
        answers.push(answer);
      expect(answers).not.toEqual([]);
      client.close();
      expect(trainer.log.filter(({ msg }) => copied.test(msg))).toMatchObject([{ level: warn }]);
    },
    60_000,
  );

  /** A service that listens, with all that it logs; ended after the test. */
  async function served(words: string[]) {
    const { child, ended, stderr } = start(['serve', ...words, '--address', '127.0.0.1:0'], { cwd: work.path });
    const log: { msg: string; level: number; address?: string }[] = [];
    stops.push(async () => {
      child.kill('SIGTERM');
      await ended;
    });
    const address = await new Promise<string>((listening, failed) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const entry = JSON.parse(line) as (typeof log)[number];
        log.push(entry);
        if (entry.msg === 'listening' && entry.address) listening(entry.address);
      });
      void ended.then(() => failed(new Error(stderr())));
    });
    return { log, address };
  }

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
