import { readFileSync } from 'node:fs';
import { cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { writeBuiltinTask } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import { expectDone, start, surefoot, workFolder } from './testing';

// A machine under load takes several times as long.
jest.setTimeout(180_000);

let work: Awaited<ReturnType<typeof workFolder>>;
const run = (...words: string[]) => surefoot([...words, '--backend', 'wasm'], { cwd: work.path });
const json = async (...path: string[]) => JSON.parse(await readFile(join(work.path, ...path), 'utf8'));
const lines = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

interface Pair {
  prompt: string;
  chosen: string;
  rejected: string;
  chosen_truncated?: boolean;
  rejected_truncated?: boolean;
}
let pairs: Pair[];
const models = { chosen_model: 'a', rejected_model: 'b' };

beforeAll(async () => {
  work = await workFolder();
  await openBackend('wasm');
  const baseTraining = { sentences: 200, steps: 20, batchSize: 16 };
  await writeBuiltinTask(join(work.path, 'task'), { dataSeed: 3, pairs: 24, judgePairs: 4, baseTraining });
  pairs = readFileSync(join(work.path, 'task/pairs.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Pair);
  const rows = pairs.map((pair, id) => ({ ...pair, ...models, subset: id < 16 ? 'hep-go' : 'math-prm', id }));
  await writeFile(join(work.path, 'bench.jsonl'), lines(rows));
  const fit = ['--base', 'task/base', '--pairs', 'task/pairs.jsonl', '--members', '2', '--epochs', '2'];
  expectDone(await run('reward', 'train', ...fit, '--out', 'ensemble'));
});
afterAll(() => work.remove());

test('document, figures, and both forms of the leaderboard’s files for the mean and every member', async () => {
  const ended = await run('rewardbench', '--ensemble', 'ensemble', '--in', 'bench.jsonl', '--out', 'bench', '--json');
  expectDone(ended);
  const found = JSON.parse(ended.stdout);
  expect(await json('bench/rewardbench.json')).toEqual(found);
  expect(found).toMatchObject({ skipped: 0, mean: { items: 24, ties: 0 } });
  expect((await readdir(join(work.path, 'bench'))).sort()).toEqual([
    ...['accuracies.svg', 'coverage.svg', 'eval-set', 'eval-set-scores', 'reliability.svg', 'rewardbench.json'],
  ]);

  // What `score` says of the same answers is what the accuracies and files are made of.
  const rollouts = pairs.flatMap(({ prompt, ...pair }) => [
    { prompt, response: pair.chosen, truncated: pair.chosen_truncated },
    { prompt, response: pair.rejected, truncated: pair.rejected_truncated },
  ]);
  await writeFile(join(work.path, 'rollouts.jsonl'), lines(rollouts));
  const scored = await Promise.all(
    [[], ['--raw']].map(async (raw) => {
      const { stdout } = await run('score', '--ensemble', 'ensemble', '--in', 'rollouts.jsonl', ...raw);
      const rows = stdout.trim().split('\n');
      return rows.map((line) => JSON.parse(line) as { mean: number; scores: number[] });
    }),
  );
  const [calibrated, raw] = scored as [(typeof scored)[number], (typeof scored)[number]];
  const right = pairs.map((_, i) => calibrated[2 * i]!.mean > calibrated[2 * i + 1]!.mean);
  expect(found.mean.correct).toBe(right.filter(Boolean).length);
  const accuracy = (from: number, to: number) => right.slice(from, to).filter(Boolean).length / (to - from);
  const sections = found.mean.sections;
  // Weights 164 and 984 of the benchmark, not the 16 and 8 rows of the file.
  expect(sections.Reasoning.accuracy).toBeCloseTo((164 * accuracy(0, 16) + 984 * accuracy(16, 24)) / 1148, 12);
  expect(found.mean.overall.missing).toEqual(['Chat', 'Chat Hard', 'Safety', 'Prior Sets']);

  for (const [name, chosen] of [
    ['mean', pairs.map((_, i) => calibrated[2 * i]!.mean)],
    ['member-1', pairs.map((_, i) => raw[2 * i]!.scores[1])],
  ] as const) {
    const perItem = await json(`bench/eval-set-scores/ensemble/${name}.json`);
    expect(Object.keys(perItem)).toEqual([
      ...['chat_template', 'id', 'model', 'model_type', 'results', 'scores_chosen', 'scores_rejected', 'subset'],
      ...['text_chosen', 'text_rejected'],
    ]);
    expect(perItem.model).toBe(`ensemble/${name}`);
    expect(perItem.text_chosen[3]).toBe(pairs[3]!.prompt + pairs[3]!.chosen);
    perItem.scores_chosen.forEach((score: number, i: number) => expect(score).toBeCloseTo(chosen[i]!, 5));
    const flat = await json(`bench/eval-set/ensemble/${name}.json`);
    expect(Object.keys(flat)).toEqual(['chat_template', 'hep-go', 'math-prm', 'model', 'model_type']);
    const results: number[] = perItem.results.slice(0, 16);
    expect(flat['hep-go']).toBe(results.reduce((sum, result) => sum + result) / 16);
  }
});

test('the same from a service, with a table, and what the scores leave out', async () => {
  const serve = ['serve', 'reward-ensemble', '--model', 'ensemble', '--address', '127.0.0.1:0', '--backend', 'wasm'];
  const service = start(serve, { cwd: work.path });
  try {
    let address = '';
    for await (const line of createInterface({ input: service.child.stdout! })) {
      address = (JSON.parse(line) as { address?: string }).address ?? address;
      if (address) break;
    }
    const ended = await surefoot(['rewardbench', '--address', address, '--in', 'bench.jsonl', '--out', 'remote'], {
      cwd: work.path,
    });
    expectDone(ended);
    expect(ended.stdout).toMatch(/^accuracy, % +items +mean +95 % +members +ties\nhep-go +16 /);
    expect(ended.stdout).toContain('hep-go has 16 of its 164 rows');
    expect(ended.stdout).toContain('overall is without Chat, Chat Hard, Safety, Prior Sets');
    const local = await surefoot(
      ['rewardbench', '--ensemble', 'ensemble', '--in', 'bench.jsonl', '--out', 'local', '--json', '--backend', 'wasm'],
      { cwd: work.path },
    );
    expect((await json('remote/rewardbench.json')).mean).toEqual(JSON.parse(local.stdout).mean);
  } finally {
    service.child.kill('SIGTERM');
    await service.ended;
  }
});

test('lists of answers are decided by the best of each, and a file’s own subset is its name', async () => {
  const rows = pairs.slice(0, 6).map(({ prompt, chosen, rejected }, i) => ({
    ...{ id: `${i}`, prompt, chosen: [chosen], rejected: [rejected, pairs[i + 6]!.rejected], num_correct: 1 },
  }));
  await writeFile(join(work.path, 'mine.jsonl'), lines(rows));
  expectDone(await run('rewardbench', '--ensemble', 'ensemble', '--in', 'mine.jsonl', '--out', 'lists'));
  const { mean } = await json('lists/rewardbench.json');
  expect(Object.keys(mean.subsets)).toEqual(['mine']);
  expect([mean.overall, mean.sections]).toEqual([null, {}]);
  const { scores, results } = await json('lists/v2/eval-set-scores/ensemble/mean.json');
  expect(results).toEqual(scores.map(([chosen, ...rejected]: number[]) => (chosen! > Math.max(...rejected) ? 1 : 0)));
});

test('an answer that does not fit stops the command, or is passed over and counted', async () => {
  const long = { ...pairs[0]!, rejected: pairs[0]!.rejected + ' well'.repeat(200) };
  await writeFile(join(work.path, 'long.jsonl'), lines([pairs[1], long, { prompt: 'no answers' }]));
  const words = ['rewardbench', '--ensemble', 'ensemble', '--in', 'long.jsonl', '--out', 'long'];
  const refused = await run(...words);
  expect([refused.status, refused.stderr]).toEqual([
    1,
    expect.stringContaining('long.jsonl line 3: chosen is missing'),
  ]);
  const ended = await run(...words, '--skip-invalid');
  expectDone(ended);
  expect(ended.stderr).toMatch(/skipped long.jsonl line 2: id item-2-rejected-1: the response has \d+ tokens/);
  expect(await json('long/rewardbench.json')).toMatchObject({ skipped: 2, mean: { items: 1 } });
});

test('an ensemble that was never calibrated is said to score raw, and items of stdin to be there', async () => {
  const members = ['--members', 'ensemble/member-0', 'ensemble/member-1'];
  expectDone(await surefoot(['reward', 'import', ...members, '--out', 'imported'], { cwd: work.path }));
  const words = (ensemble: string) => ['rewardbench', '--ensemble', ensemble, '--in', 'bench.jsonl', '--out', 'raw'];
  expect((await run(...words('ensemble'))).stderr).not.toContain('calibrate');
  expect((await run(...words('imported'))).stderr).toContain(
    'imported is not calibrated: scores are raw; surefoot reward calibrate --ensemble imported --in <rollouts>',
  );
  const piped = await surefoot(['rewardbench', '--ensemble', 'ensemble', '--in', '-', '--out', 'piped'], {
    ...{ cwd: work.path, input: '{"prompt": "x"}\n' },
  });
  expect([piped.status, piped.stderr]).toEqual([1, 'surefoot: stdin line 1: chosen is missing, not text\n']);
});

test('--chat renders prompts by the chat template, which other calls say is there', async () => {
  const words = (ensemble: string) => ['rewardbench', '--ensemble', ensemble, '--in', 'bench.jsonl', '--out', 'chat'];
  const without = await run(...words('ensemble'), '--chat');
  expect(without.status).toBe(1);
  expect(without.stderr).toMatch(/^surefoot: ensemble@\w+ has no chat template: leave out --chat\n$/);
  await cp(join(work.path, 'ensemble'), join(work.path, 'spoken'), { recursive: true });
  for (const member of ['member-0', 'member-1']) {
    const template = '{% for message in messages %}{{ message.content }} {% endfor %}';
    await writeFile(join(work.path, 'spoken', member, 'chat_template.jinja'), template);
  }
  const noted = await run(...words('spoken'));
  expectDone(noted);
  expect(noted.stderr).toContain('--chat renders them by the chat template');
  const plain = await json('chat/eval-set-scores/ensemble/mean.json');
  const spoken = await run(...words('spoken'), '--chat');
  expectDone(spoken);
  expect(spoken.stderr).not.toContain('--chat');
  const { chat_template, text_rejected, scores_rejected } = await json('chat/eval-set-scores/ensemble/mean.json');
  expect([plain.chat_template, chat_template]).toEqual(['raw', 'tokenizer']);
  expect(text_rejected[0]).toEqual([
    { role: 'user', content: pairs[0]!.prompt },
    { role: 'assistant', content: pairs[0]!.rejected },
  ]);
  expect(scores_rejected).not.toEqual(plain.scores_rejected);
});
