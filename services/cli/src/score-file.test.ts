import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createModel, disposeModel, gpt2Config, saveModel, wordTokenizerFiles } from '@surefoot/language-model';
import { calibrateEnsemble, importEnsemble } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import type { Context } from './command';
import { scoreFile } from './score-file';

const words = ['<bos>', '<eos>', 'is', 'it', 'good'];
const rollouts = [
  { id: 7, prompt: 'is it', response: 'good' },
  { id: 'unknown', prompt: 'is it', response: 'zebra' },
  { id: 'long', prompt: 'is it', response: 'good good good good good good good good' },
  { id: 'malformed', prompt: 'is it' },
  { id: 'outside', ids: [0, 99] },
  { id: 'ids', ids: [0, 2, 1] },
  { id: 'empty', prompt: 'is it', response: '' },
];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-score-'));
  await openBackend('wasm');
  const tokenizerFolder = join(folder, 'tokenizer');
  for (const name of ['tokenizer', 'model', 'second']) await mkdir(join(folder, name));
  for (const [name, content] of Object.entries(wordTokenizerFiles(words, { bos: '<bos>', eos: '<eos>' })))
    await writeFile(join(tokenizerFolder, name), content);
  const size = { vocabularySize: words.length, hiddenSize: 8, layers: 1, heads: 2, maxPositions: 8 };
  const config = gpt2Config({ ...size, head: 'reward', eosTokenIds: [1], bosTokenId: 0, padTokenId: 1 });
  for (const [seed, name] of ['model', 'second'].entries()) {
    const model = createModel(config, seed);
    await saveModel(model, join(folder, name), { tokenizerFolder });
    disposeModel(model);
  }
  await writeFile(join(folder, 'in.jsonl'), rollouts.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

async function scored(
  skipInvalid: boolean,
  own: { ensemble?: string; model?: string; raw?: boolean } = { model: join(folder, 'model') },
) {
  const notes: string[] = [];
  const terminal = {
    print: async () => undefined,
    note: (line: string) => void notes.push(line),
    progress: () => ({ advance: () => undefined, finish: () => undefined }),
  };
  const context: Context = { terminal, signal: new AbortController().signal, env: {} };
  const ids: unknown[] = [];
  const options = { in: join(folder, 'in.jsonl'), ...own, skipInvalid };
  const { skipped, isCalibrated } = await scoreFile(
    { ...options, weights: 'auto', backend: 'wasm' },
    context,
    ({ givenId }, scores) => void ids.push([givenId, scores.every(Number.isFinite)]),
  );
  return { ids, skipped, isCalibrated, notes };
}

test('bad rollouts are passed over, named and counted; the others keep their ids as they came', async () => {
  const { ids, skipped, notes } = await scored(true);
  expect(ids).toEqual([
    [7, true],
    ['ids', true],
  ]);
  expect(skipped).toBe(5);
  for (const name of ['line 4', 'line 7', 'id unknown', 'id long', 'id outside', '5 rollouts skipped'])
    expect(notes.join('\n')).toContain(name);
});

test('without being told so, the first bad one stops it', async () => {
  await expect(scored(false)).rejects.toMatchObject({
    kind: 'invalid_argument',
    message: expect.stringContaining('line 4'),
  });
});

test('an ensemble that was imported and not calibrated is said to score raw; a plain model and --raw are not', async () => {
  const ensemble = join(folder, 'imported');
  await importEnsemble({ members: [join(folder, 'model'), join(folder, 'second')], out: ensemble, name: 'two' });
  const warned = ({ notes }: { notes: string[] }) => notes.filter((note) => note.includes('is not calibrated'));
  const imported = await scored(true, { ensemble });
  expect(imported.isCalibrated).toBe(false);
  expect(warned(imported)).toEqual([
    `${ensemble} is not calibrated: scores are raw; surefoot reward calibrate --ensemble ${ensemble} --in <rollouts>`,
  ]);
  expect(warned(await scored(true, { ensemble, raw: true }))).toEqual([]);
  expect(warned(await scored(true))).toEqual([]);
  const samples = [
    { id: '1', prompt: 'is it', response: 'good' },
    { id: '2', ids: [0, 2, 1] },
  ];
  await calibrateEnsemble(
    ensemble,
    samples.map((sample) => ({ truncated: false, ...sample })),
  );
  const calibrated = await scored(true, { ensemble });
  expect(calibrated.isCalibrated).toBe(true);
  expect(warned(calibrated)).toEqual([]);
});
