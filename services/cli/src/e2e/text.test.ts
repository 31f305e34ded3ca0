import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import { expectDone, surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
});
afterAll(() => work.remove());

const asLines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const golden = (...path: string[]) => JSON.parse(readFileSync(goldenPath('golden', ...path)!, 'utf8'));
const goldenTest = goldenPath('tokenizers') ? test : test.skip;

async function linesOf(words: string[], input: object[]): Promise<Record<string, unknown>[]> {
  const ended = await surefoot([...words, '--in', '-'], { cwd: work.path, input: asLines(input) });
  expectDone(ended);
  return ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

interface TextCase {
  text: string;
  ids: number[];
  ids_with_template: number[];
  ids_special_as_text: number[];
}
interface ChatCase {
  messages: object[];
  add_generation_prompt: boolean;
  text?: string;
  ids?: number[];
}

describe('tokenize gives the ids of the reference', () => {
  const names = ['gpt2-type', 'gpt2-type-resaved', 'llama3-type', 'llama3-type-jinja-file', 'gemma-type'];
  goldenTest.each(names)('%s', async (name) => {
    const texts = golden('tokenizers', `${name}.json`).texts as TextCase[];
    const hasChat = !name.startsWith('gpt2');
    const chats: ChatCase[] = hasChat ? golden('chat', `${name}.json`).conversations : [];
    const rendered = chats.filter(({ text }) => text !== undefined);
    const answers = await linesOf(
      ['tokenize', '--model', goldenPath('tokenizers', name)!],
      [
        ...texts.map(({ text }) => ({ text, allowSpecial: true })),
        ...texts.map(({ text }) => ({ text, addSpecialTokens: false })),
        ...rendered.map(({ messages, add_generation_prompt: addGenerationPrompt }) => ({
          ...{ messages, addGenerationPrompt, allowSpecial: true },
        })),
      ],
    );
    expect(answers.map(({ ids }) => ids)).toEqual([
      ...texts.map(({ ids_with_template }) => ids_with_template),
      ...texts.map(({ ids_special_as_text }) => ids_special_as_text),
      ...rendered.map(({ ids }) => ids),
    ]);
    expect(answers.slice(2 * texts.length).map(({ text }) => text)).toEqual(rendered.map(({ text }) => text));
  });
});

goldenTest('a response that spells the end does not score as one that ends there', async () => {
  const model = goldenPath('models', 'llama-reward')!;
  const { eos_token: end } = JSON.parse(readFileSync(join(model, 'tokenizer_config.json'), 'utf8'));
  const rows = ['fine', `fine${end}`, `fine${end}${end}`].map((response, i) => ({ id: i, prompt: 'a', response }));
  const command = ['score', '--raw', '--model', model, '--backend', 'cpu'];
  const scores = (await linesOf(command, rows)).map(({ scores }) => (scores as number[])[0]);
  expect(new Set(scores).size).toBe(3);
});

goldenTest('a chat template without end is refused within bounds', async () => {
  const folder = join(work.path, 'endless');
  await cp(goldenPath('tokenizers', 'llama3-type')!, folder, { recursive: true });
  await writeFile(
    join(folder, 'chat_template.jinja'),
    '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}',
  );
  const input = asLines([{ messages: [{ role: 'user', content: 'a' }] }]);
  const { status, stderr } = await surefoot(['tokenize', '--model', folder, '--in', '-'], { cwd: work.path, input });
  expect(status).toBe(1);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain('chat_template.jinja refuses the conversation: it takes too many steps');
});

test('reward train says what it recognised, and reads the columns that it is told', async () => {
  await writeFile(
    join(work.path, 'config.json'),
    JSON.stringify({ model_type: 'gpt2', n_embd: 8, n_layer: 1, n_head: 2 }),
  );
  expectDone(await surefoot(['task', 'write', 'task', '--pairs', '8'], { cwd: work.path }));
  const texts = readFileSync(join(work.path, 'task', 'pairs.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const [first, ...others] = texts.map((line) => JSON.parse(line) as Record<string, string>);
  const rated = others.map(({ prompt, chosen, rejected }, i) => ({
    ...{ history: prompt, human_ref_A: rejected, human_ref_B: chosen, labels: 0, split: i < 5 ? 'train' : 'test' },
  }));
  await writeFile(
    join(work.path, 'rated.jsonl'),
    asLines([...rated, { ...rated[0], human_ref_A: rated[0]!.human_ref_B }]),
  );
  await writeFile(
    join(work.path, 'own.jsonl'),
    asLines([{ q: first!['prompt'], a: first!['chosen'], b: first!['rejected'] }]),
  );
  const train = [
    ...['reward', 'train', '--like', 'task/member-config.json', '--tokenizer', 'task/base', '--backend', 'cpu'],
    ...['--members', '1', '--epochs', '1', '--json'],
  ];
  const split = ['--pairs', 'rated.jsonl', '--split', 'train', '--eval-pairs', 'rated.jsonl', '--eval-split', 'test'];
  const ended = await surefoot([...train, ...split, '--out', 'rated'], { cwd: work.path });
  expectDone(ended);
  expect(JSON.parse(ended.stdout).data).toMatchObject({
    pairs: [{ layout: 'ab-references', rows: 8, pairs: 5, ties: 1, ofOtherSplits: 2, splits: { train: 6, test: 2 } }],
    evalPairs: [{ layout: 'ab-references', pairs: 2, ties: 0, ofOtherSplits: 6 }],
  });
  expect(ended.stderr).toContain('rated.jsonl: 5 pairs of 8 rows (ab-references: ');
  const own = ['--pairs', 'own.jsonl', '--out', 'own', '--columns'];
  const told = await surefoot([...train, ...own, 'prompt=q,chosen=a,rejected=b'], { cwd: work.path });
  expectDone(told);
  expect(JSON.parse(told.stdout).data.pairs).toMatchObject([{ layout: 'texts', pairs: 1 }]);
  const missing = await surefoot([...train, ...own, 'prompt=question,chosen=a,rejected=b'], { cwd: work.path });
  expect(missing).toMatchObject({ status: 1, stdout: '' });
  expect(missing.stderr).toContain('own.jsonl line 1: it has no column question for prompt; it has q, a, b');
  expect(await surefoot([...train, ...own, 'question'], { cwd: work.path })).toMatchObject({ status: 2 });
});
