import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inspectTensorflow } from '@surefoot/tensor';
import { goldenPath } from '@surefoot/tensor/testing';
import { expectDone, surefoot, workFolder } from './testing';

/** A folder of the references, and the tokenizer that it has. */
const causalModels: [string, string][] = [
  ['gpt2', 'gpt2-type'],
  ['gpt2-bf16', 'gpt2-type'],
  ['gpt2-sharded', 'gpt2-type-resaved'],
  ['gpt2-legacy-names', 'gpt2-type'],
  ['llama', 'llama3-type'],
  ['llama-head-dim', 'llama3-type-jinja-file'],
  ['llama-head-dim-v4', 'llama3-type'],
  ['gemma', 'gemma-type'],
  ['qwen2', 'gpt2-type'],
  ['mistral', 'llama3-type'],
  ['gemma2', 'gemma-type'],
];
/** Adapters of causal models; those of reward models are in ensemble-kinds.test.ts. */
const adapters = ['gpt2-attn', 'gemma-qv', 'gemma-all-linear-rslora'];
const rewardModels = ['llama-reward', 'gemma-reward'];
const backends = ['wasm', ...(inspectTensorflow().problem === undefined ? ['tensorflow'] : [])];
// References: transformers 5.23.0, float32; tolerance as measured (goldens/README.md).
const tolerance = { atol: 5e-5, rtol: 1e-5 };

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => void (work = await workFolder()));
afterAll(() => work.remove());

const goldenTest = goldenPath('models', 'gpt2') === undefined ? test.skip : test;
const read = (...path: string[]) => JSON.parse(readFileSync(goldenPath('golden', ...path)!, 'utf8'));
/** Runs a command on lines of JSON, for the lines that it answers with. */
async function answers(words: string[], lines: object[]) {
  const input = join(work.path, 'in.jsonl');
  await writeFile(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const done = await surefoot([...words, '--in', input], { cwd: work.path });
  expectDone(done);
  return done.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}
interface Numbers {
  shape: number[];
  data: number[];
}
/** The rows of a [B, T, …] reference without padding, flat. */
function rowsOf({ shape, data }: Numbers, { attention_mask: mask }: { attention_mask: Numbers }): number[][] {
  const [batch = 0, width = 0] = shape;
  const each = data.length / (batch * width);
  return Array.from({ length: batch }, (_, row) =>
    data
      .slice(row * width * each, (row + 1) * width * each)
      .filter((_value, i) => mask.data[row * width + Math.floor(i / each)]),
  );
}

describe.each(backends)('on %s', (backend) => {
  goldenTest.each(causalModels)('%s: logits at every position, and what it says', async (name) => {
    const model = ['--model', goldenPath('models', name)!, '--backend', backend];
    const { forward, generation } = read('models', `${name}.json`);
    const cases = forward.filter((each: { logits?: Numbers }) => each.logits);
    const ids = cases.flatMap((each: { input_ids: Numbers; attention_mask: Numbers }) => rowsOf(each.input_ids, each));
    const wanted = cases.flatMap((each: { logits: Numbers; attention_mask: Numbers }) => rowsOf(each.logits, each));
    const lines = ids.map((row: number[]) => ({ ids: row }));
    const got = await answers(['logprobs', ...model, '--logits', '--all-positions'], lines);
    expect(got.flatMap(({ logits }) => logits.flat())).toBeAllclose(wanted.flat(), tolerance);
    const last = await answers(['logprobs', ...model, '--logits'], lines);
    const ends = got.flatMap(({ logits }) => logits.at(-1));
    expect(last.flatMap(({ logits }) => logits)).toBeAllclose(ends, tolerance);

    const prompts = generation.prompts.map((row: number[]) => ({ ids: row }));
    const generate = ['generate', ...model, '--greedy', '--ignore-eos', '--max-new-tokens', `${generation.new_tokens}`];
    expect((await answers(generate, prompts)).map((row) => row.ids)).toEqual(generation.outputs);
  });

  goldenTest.each(adapters)('adapter %s: logits at every position, and the likeliest token', async (name) => {
    const golden = read('adapters', `${name}.json`);
    const adapter = ['--adapter', goldenPath('adapters', name)!, '--backend', backend];
    const model = ['--model', goldenPath('models', golden.base)!, ...adapter];
    const lines = rowsOf(golden.input_ids, golden).map((ids) => ({ ids }));
    const wanted = rowsOf(golden.unmerged.logits, golden);
    const got = await answers(['logprobs', ...model, '--logits', '--all-positions'], lines);
    expect(got.flatMap(({ logits }) => logits.flat())).toBeAllclose(wanted.flat(), tolerance);
    const next = await answers(['generate', ...model, '--greedy', '--ignore-eos', '--max-new-tokens', '1'], lines);
    const ends = wanted.map((logits, row) => logits.slice(-logits.length / lines[row]!.ids.length));
    expect(next.map(({ ids }) => ids)).toEqual(ends.map((logits) => [logits.indexOf(Math.max(...logits))]));
  });

  goldenTest.each(rewardModels)('%s: scores', async (name) => {
    const { forward } = read('models', `${name}.json`);
    const lines = forward.flatMap((each: { input_ids: Numbers; attention_mask: Numbers }) =>
      rowsOf(each.input_ids, each).map((ids) => ({ ids })),
    );
    const words = ['score', '--model', goldenPath('models', name)!, '--raw', '--backend', backend];
    const got = await answers(words, lines);
    const wanted = forward.flatMap((each: { scores: Numbers }) => each.scores.data);
    expect(got.flatMap(({ scores }) => scores)).toBeAllclose(wanted, tolerance);
  });
});

goldenTest.each(causalModels)(
  'tokenize with the tokenizer of %s (%s): texts and conversations',
  async (name, tokenizer) => {
    const words = ['tokenize', '--model', goldenPath('models', name)!];
    const { texts } = read('tokenizers', `${tokenizer}.json`);
    const lines = texts.flatMap(({ text }: { text: string }) => [
      { text, allowSpecial: true },
      { text, allowSpecial: true, addSpecialTokens: false },
      { text, addSpecialTokens: false },
    ]);
    const wanted = texts.flatMap((each: Record<string, unknown>) => [
      each['ids_with_template'],
      each['ids'],
      each['ids_special_as_text'],
    ]);
    expect((await answers(words, lines)).map(({ ids }) => ids)).toEqual(wanted);
    if (tokenizer.startsWith('gpt2')) return;
    const { conversations } = read('chat', `${tokenizer}.json`);
    const sound = conversations.filter((each: { error?: string }) => each.error === undefined);
    const chats = sound.map((each: { messages: object[]; add_generation_prompt: boolean }) => ({
      messages: each.messages,
      addGenerationPrompt: each.add_generation_prompt,
      allowSpecial: true,
    }));
    const got = await answers(words, chats);
    expect(got).toEqual(sound.map(({ ids, text }: { ids: number[]; text: string }) => ({ ids, text })));
  },
);

goldenTest.each([...causalModels.map(([name]) => name), ...rewardModels])(
  'model inspect finds %s sound',
  async (name) => {
    const inspect = ['model', 'inspect', goldenPath('models', name)!];
    const done = await surefoot([...inspect, '--json'], { cwd: work.path });
    expectDone(done);
    const { architecture, kind, stored_dtype } = read('models', `${name}.json`);
    const { config, dtypes, parameters, problems } = JSON.parse(done.stdout);
    expect({ architecture: config.architecture, problems }).toEqual({ architecture, problems: [] });
    expect(config.head).toBe(kind === 'causal-lm' ? 'causal-lm' : 'reward');
    const forms: Record<string, string> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };
    expect(dtypes).toEqual({ [forms[stored_dtype]!]: parameters });
  },
);

test('model inspect says what a folder that is no model holds', async () => {
  await writeFile(join(work.path, 'notes.txt'), '');
  const done = await surefoot(['model', 'inspect', work.path, '--json'], { cwd: work.path });
  expectDone(done);
  expect(JSON.parse(done.stdout).problems).toEqual([expect.stringMatching(/no config\.json in it, but .*notes\.txt/)]);
});
