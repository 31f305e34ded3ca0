import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseModelConfig, writeNewModel } from '@surefoot/language-model';
import { expectDone, start, surefoot, workFolder } from './testing';

const vocabularySize = 70_000;
const sizes = { hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, head_dim: 4 };

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
  await mkdir(join(work.path, 'model'));
  const raw = { ...sizes, model_type: 'gemma2', num_key_value_heads: 1, vocab_size: vocabularySize };
  const config = parseModelConfig({ ...raw, max_position_embeddings: 300 }, 'here');
  await writeNewModel(config, 1, join(work.path, 'model'), { tokenizerFolder: work.path });
});
afterAll(() => work.remove());

/** Logits of texts with so many tokens, as a file has them. */
async function logitsOf(lengths: number[], ...words: string[]) {
  const lines = lengths.map((length) => ({ ids: Array.from({ length }, (_, t) => (t * 7919) % vocabularySize) }));
  await writeFile(join(work.path, 'in.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const command = ['logprobs', '--model', 'model', '--backend', 'wasm', '--in', 'in.jsonl', '--out', 'out', '--logits'];
  const done = await surefoot([...command, ...words], { cwd: work.path });
  if (done.status !== 0) return { done, logits: [] };
  const out = (await readFile(join(work.path, 'out'), 'utf8')).trimEnd().split('\n');
  return { done, logits: out.map((line) => JSON.parse(line).logits) };
}

test('logits of all positions over a large vocabulary end in those of the last', async () => {
  const [all, last] = [await logitsOf([61, 1], '--all-positions'), await logitsOf([61, 1])];
  expectDone(all.done);
  expectDone(last.done);
  expect(all.logits.map(({ length }) => length)).toEqual([61, 1]);
  expect(last.logits.map(({ length }) => length)).toEqual([vocabularySize, vocabularySize]);
  all.logits.forEach((rows, i) => expect(rows.at(-1)).toEqual(last.logits[i]));
});

test('more logits than a line can hold are refused before anything is computed', async () => {
  const { done } = await logitsOf([3, 240], '--all-positions');
  expect(done.status).toBe(1);
  expect(done.stderr).toContain('240 positions with 70,000 logits each are more than a line can hold');
  expectDone((await logitsOf([240])).done);
});

test('the work goes on where nobody reads stderr any more', async () => {
  await writeFile(join(work.path, 'in.jsonl'), '{"ids":[1,2,3]}\n');
  const words = ['logprobs', '--model', 'model', '--backend', 'wasm', '--in', 'in.jsonl'];
  // At this level stderr gets a line as soon as the backend is open.
  const running = start(words, { cwd: work.path, env: { SUREFOOT_LOG_LEVEL: 'debug' } });
  running.child.stderr!.destroy();
  const { status, stdout } = await running.ended;
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ids: [1, 2, 3] });
});
