import { readFileSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
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
const adapters = ['gpt2-attn', 'gemma-qv', 'gemma-all-linear-rslora'];
const rewardModels = ['llama-reward', 'gemma-reward'];
const rewardAdapters = ['llama-reward-qv', 'llama-reward-all-linear'];
const backends = ['wasm', ...(inspectTensorflow().problem === undefined ? ['tensorflow'] : [])];
// References: transformers 5.23.0, float32; tolerance as measured (goldens/README.md).
const tolerance = { atol: 5e-5, rtol: 1e-5 };
const sumOfSquaresTolerance = { atol: 0, rtol: 2e-6 };

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
interface Rows {
  input_ids: Numbers;
  attention_mask: Numbers;
}
type Entropies = Record<'entropy_t1.0' | 'entropy_t0.7', Numbers>;
/** Either all logits, or what sums them up. */
interface Forward extends Rows, Entropies, Record<`logits_${'first8' | 'max' | 'argmax' | 'logsumexp'}`, Numbers> {
  logits?: Numbers;
  logits_sum_of_squares: number;
}
interface Golden {
  forward: Forward[];
  token_logprobs: Rows & Record<'logprobs_t1.0' | 'logprobs_t0.7', Numbers>;
  generation: {
    prompts: number[][];
    new_tokens: number;
    outputs: number[][];
    with_eos: { eos_token_id: number; outputs_padded: number[][] };
  };
}
/** The rows of a [B, T, …] reference without padding, flat. */
function rowsOf({ shape, data }: Numbers, { attention_mask: mask }: Pick<Rows, 'attention_mask'>): number[][] {
  const [batch = 0, width = 0] = shape;
  const each = data.length / (batch * width);
  return Array.from({ length: batch }, (_, row) =>
    data
      .slice(row * width * each, (row + 1) * width * each)
      .filter((_value, i) => mask.data[row * width + Math.floor(i / each)]),
  );
}

describe.each(backends)('on %s', (backend) => {
  goldenTest.each(causalModels)('%s: logits, log-probabilities, entropies, and what it says', async (name) => {
    const model = ['--model', goldenPath('models', name)!, '--backend', backend];
    const { forward, token_logprobs: tokens, generation } = read('models', `${name}.json`) as Golden;
    const lines = [...forward, tokens].flatMap((each) => rowsOf(each.input_ids, each).map((ids) => ({ ids })));
    const got = await answers(['logprobs', ...model, '--logits', '--all-positions'], lines);
    const cooled = await answers(['logprobs', ...model, '--logits', '--temperature', '0.7'], lines);
    expect(cooled.flatMap((row) => row.logits)).toBeAllclose(
      got.flatMap((row) => row.logits.at(-1)),
      tolerance,
    );

    // Nothing is said of the distribution after the last id.
    const entropies = (temperature: '1.0' | '0.7') =>
      forward.flatMap((each) => rowsOf(each[`entropy_t${temperature}`], each).map((row) => row.slice(0, -1))).flat();
    const ofForward = <Row>(rows: Row[]) => rows.slice(0, -tokens.input_ids.shape[0]!);
    expect(ofForward(got).flatMap((row) => row.entropies)).toBeAllclose(entropies('1.0'), tolerance);
    expect(ofForward(cooled).flatMap((row) => row.entropies)).toBeAllclose(entropies('0.7'), tolerance);
    const ofTokens = (rows: { logprobs: number[] }[]) =>
      rows.slice(ofForward(rows).length).flatMap((row) => row.logprobs);
    const logProbabilities = (temperature: '1.0' | '0.7') =>
      rowsOf(tokens[`logprobs_t${temperature}`], tokens).flatMap((row) => row.slice(1));
    expect(ofTokens(got)).toBeAllclose(logProbabilities('1.0'), tolerance);
    expect(ofTokens(cooled)).toBeAllclose(logProbabilities('0.7'), tolerance);

    const logits: number[][] = got.map((row) => row.logits.flat());
    const vocabulary = got[0].logits[0].length;
    for (const each of forward) {
      const own = logits.splice(0, each.input_ids.shape[0]).flat();
      if (each.logits) expect(own).toBeAllclose(rowsOf(each.logits, each).flat(), tolerance);
      else expectSummary(own, vocabulary, each);
    }

    const prompts = generation.prompts.map((row) => ({ ids: row }));
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
    const { forward } = read('models', `${name}.json`) as { forward: (Rows & { scores: Numbers })[] };
    const wanted = forward.flatMap(({ scores }) => scores.data);
    await expectScores(['--model', goldenPath('models', name)!], forward, wanted);
  });

  goldenTest.each(rewardAdapters)('adapter %s: scores', async (name) => {
    const golden = read('adapters', `${name}.json`);
    const adapter = ['--adapter', goldenPath('adapters', name)!];
    await expectScores(
      ['--model', goldenPath('models', golden.base)!, ...adapter],
      [golden],
      golden.merged.scores.data,
    );
  });

  async function expectScores(words: string[], cases: Rows[], wanted: number[]) {
    const lines = cases.flatMap((each) => rowsOf(each.input_ids, each).map((ids) => ({ ids })));
    const got = await answers(['score', ...words, '--raw', '--backend', backend], lines);
    expect(got.flatMap(({ scores }) => scores)).toBeAllclose(wanted, tolerance);
    expect(got.map(({ variance }) => variance)).toEqual(lines.map(() => null));
  }
});

/** Logits [T · V] that the references have only sums and maxima of. */
function expectSummary(logits: number[], vocabulary: number, golden: Forward): void {
  const rows = Array.from({ length: logits.length / vocabulary }, (_, t) =>
    logits.slice(t * vocabulary, (t + 1) * vocabulary),
  );
  const most = rows.map((row) => Math.max(...row));
  expect(rows.flatMap((row) => row.slice(0, 8))).toBeAllclose(golden.logits_first8.data, tolerance);
  expect(most).toBeAllclose(golden.logits_max.data, tolerance);
  expect(rows.map((row, t) => row.indexOf(most[t]!))).toEqual(golden.logits_argmax.data);
  const sums = rows.map((row) => Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)));
  expect(sums).toBeAllclose(golden.logits_logsumexp.data, tolerance);
  const squares = logits.reduce((sum, value) => sum + value * value, 0);
  expect([squares]).toBeAllclose([golden.logits_sum_of_squares], sumOfSquaresTolerance);
}

goldenTest.each(causalModels.map(([name]) => name))('%s ends where generation_config.json says', async (name) => {
  const { generation } = read('models', `${name}.json`) as Golden;
  const { eos_token_id, outputs_padded: padded } = generation.with_eos;
  const model = join(work.path, name);
  await cp(goldenPath('models', name)!, model, { recursive: true });
  // The references are read-only, and so are copies.
  await rm(join(model, 'generation_config.json'), { force: true });
  await writeFile(join(model, 'generation_config.json'), JSON.stringify({ eos_token_id }));
  const words = ['generate', '--model', model, '--backend', 'wasm', '--greedy'];
  const prompts = generation.prompts.map((row) => ({ ids: row }));
  const got = await answers([...words, '--max-new-tokens', `${generation.new_tokens}`], prompts);
  const ended = padded.map((row) =>
    row.slice(0, row.includes(eos_token_id) ? row.indexOf(eos_token_id) + 1 : undefined),
  );
  expect(got.map(({ ids, finish }) => ({ ids, finish }))).toEqual(
    ended.map((ids) => ({ ids, finish: ids.at(-1) === eos_token_id ? 'eos' : 'length' })),
  );
  expect(got.some(({ finish }) => finish === 'eos')).toBe(true);
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
    const chats = tokenizer.startsWith('gpt2') ? [] : read('chat', `${tokenizer}.json`).conversations;
    const sound = chats.filter((each: { error?: string }) => each.error === undefined);
    const conversations = sound.map((each: { messages: object[]; add_generation_prompt: boolean }) => ({
      messages: each.messages,
      addGenerationPrompt: each.add_generation_prompt,
      allowSpecial: true,
    }));
    const got = await answers(words, [...lines, ...conversations]);
    expect(got.slice(0, lines.length).map(({ ids }) => ids)).toEqual(wanted);
    expect(got.slice(lines.length)).toEqual(
      sound.map(({ ids, text }: { ids: number[]; text: string }) => ({ ids, text })),
    );
  },
);

goldenTest('a conversation that the template of gemma refuses is refused with its reason', async () => {
  const { conversations } = read('chat', 'gemma-type.json') as {
    conversations: { messages: object[]; error?: string }[];
  };
  const refused = conversations.filter(({ error }) => error !== undefined);
  expect(refused.length).toBeGreaterThan(0);
  const reasons = new Map(refused.map((each) => [each.error!, each]));
  for (const [reason, { messages }] of reasons) {
    const words = ['tokenize', '--model', goldenPath('models', 'gemma')!, '--in', '-'];
    const done = await surefoot(words, { cwd: work.path, input: JSON.stringify({ messages }) });
    expect(done).toMatchObject({ status: 1, stdout: '' });
    expect(done.stderr).toContain(reason.replace('TemplateError: ', ''));
  }
});

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

test('model inspect says what a folder that is no model holds, and fails', async () => {
  const folder = join(work.path, 'notes');
  await mkdir(folder);
  await writeFile(join(folder, 'notes.txt'), '');
  const done = await surefoot(['model', 'inspect', folder, '--json'], { cwd: work.path });
  expect(done).toMatchObject({ status: 1, stderr: expect.stringContaining(`${folder} would not load: 1 problem`) });
  expect(JSON.parse(done.stdout).problems).toEqual([expect.stringMatching(/no config\.json in it, but .*notes\.txt/)]);
});
