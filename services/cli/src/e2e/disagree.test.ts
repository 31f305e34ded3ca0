import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { writeBuiltinTask } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import { expectDone, surefoot, workFolder } from './testing';

// A machine under load takes several times as long.
jest.setTimeout(180_000);

let work: Awaited<ReturnType<typeof workFolder>>;
const run = (...words: string[]) => surefoot([...words, '--backend', 'wasm'], { cwd: work.path });
const zebra = '{"prompt": "how is the soup ?", "response": "zebra"}\n';
const disagree = ['reward', 'disagree', '--ensemble', 'ensemble', '--in', 'rollouts.jsonl'];

beforeAll(async () => {
  work = await workFolder();
  await openBackend('wasm');
  const baseTraining = { sentences: 200, steps: 20, batchSize: 16 };
  await writeBuiltinTask(join(work.path, 'task'), { dataSeed: 3, pairs: 24, judgePairs: 4, baseTraining });
  const rollouts = ['soup', 'teacher', 'park'].flatMap((item, i) =>
    ['fresh', 'quiet'].map((word, j) => ({
      ...{ id: `${i}-${j}`, prompt: `how is the ${item} ?` },
      response: `well the ${item} is very ${word} and quite ${word} enjoy .`,
    })),
  );
  await writeFile(join(work.path, 'rollouts.jsonl'), rollouts.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await writeFile(join(work.path, 'ids.jsonl'), '{"id": "tokens", "ids": [1, 2, 3]}\n');
  const fit = ['--base', 'task/base', '--pairs', 'task/pairs.jsonl', '--members', '3', '--epochs', '1'];
  expectDone(await run('reward', 'train', ...fit, '--out', 'ensemble'));
});
afterAll(() => work.remove());

test('numbers, figures and a page; against the pairs that the members were fitted to, and by distance from them', async () => {
  const ended = await run(...disagree, '--pairs', 'task/pairs.jsonl', '--out', 'out', '--json');
  expectDone(ended);
  const found = JSON.parse(ended.stdout);
  expect(JSON.parse(await readFile(join(work.path, 'out/disagreement.json'), 'utf8'))).toEqual(found);
  expect((await readdir(join(work.path, 'out'))).sort()).toEqual([
    ...['against.svg', 'correlation.svg', 'disagreement.html', 'disagreement.json', 'distance.svg'],
    ...['members.svg', 'ranges.svg'],
  ]);
  expect(found).toMatchObject({ name: 'rollouts.jsonl', members: 3, against: { name: 'responses of the pairs' } });
  // As many responses of the pairs as there are rollouts.
  expect([found.texts.length, found.against.texts.length]).toEqual([6, 6]);
  for (const { scores, range, distance } of found.texts) {
    expect(range).toBeCloseTo(Math.max(...scores) - Math.min(...scores), 12);
    expect(distance).toBeGreaterThan(0);
    expect(distance).toBeLessThan(1);
  }
  // The pairs are all about food.
  const distanceOf = (id: string) => found.texts.find((each: { id: string }) => each.id === id).distance;
  expect(distanceOf('0-0')).toBeLessThan(distanceOf('2-1'));
  expect(found.texts.every(({ response }: { response: string }) => response.startsWith('well the'))).toBe(true);
  const page = await readFile(join(work.path, 'out/disagreement.html'), 'utf8');
  expect(page).toContain(found.texts.find(({ id }: { id: string }) => id === found.widest[0]).response);
});

test('the page and the document say whether scores are standard deviations, or those of members as they give them', async () => {
  const members = ['--members', 'ensemble/member-0', 'ensemble/member-1'];
  expectDone(await surefoot(['reward', 'import', ...members, '--out', 'imported'], { cwd: work.path }));
  const unitOf = async (ensemble: string) => {
    const words = ['reward', 'disagree', '--ensemble', ensemble, '--in', 'rollouts.jsonl', '--out', `unit-${ensemble}`];
    const ended = await run(...words);
    expectDone(ended);
    const read = (name: string) => readFile(join(work.path, `unit-${ensemble}`, name), 'utf8');
    const names = await readdir(join(work.path, `unit-${ensemble}`));
    const shown = [ended.stdout, ...(await Promise.all(names.map(read)))];
    return {
      calibrated: JSON.parse(await read('disagreement.json')).calibrated,
      isSaid: shown.map((text) => /standard deviations/.test(text)).some(Boolean),
      noted: ended.stderr.includes('is not calibrated: scores are raw'),
      page: /The ensemble is not calibrated|Scores are in standard deviations/.exec(
        await read('disagreement.html'),
      )?.[0],
    };
  };
  expect(await unitOf('ensemble')).toEqual({
    ...{ calibrated: true, isSaid: true, noted: false, page: 'Scores are in standard deviations' },
  });
  expect(await unitOf('imported')).toEqual({
    ...{ calibrated: false, isSaid: false, noted: true, page: 'The ensemble is not calibrated' },
  });
});

test('against a file of other rollouts, whose ids may be the same', async () => {
  const ended = await run(...disagree, '--against', 'rollouts.jsonl', '--out', 'same', '--json');
  expectDone(ended);
  const { against, texts } = JSON.parse(ended.stdout);
  // The same texts: no range is wider than itself.
  expect(against).toMatchObject({ name: 'rollouts.jsonl', wider: 0.5, medianRatio: 1 });
  expect(against.texts.map(({ id, range }: { id: string; range: number }) => [id, range])).toEqual(
    texts.map(({ id, range }: { id: string; range: number }) => [id, range]),
  );
});

test.each([
  ['pairs from stdin', ['--pairs', '-'], '{"prompt": "x"}\n', 1, 'stdin line 1: chosen is missing'],
  ['stdin twice', ['--against', '-', '--pairs', '-'], '', 2, 'stdin (-) can be read only once'],
  ['columns of no pairs', ['--columns', 'prompt=q'], '', 2, '--columns and --split say how --pairs are read'],
  ['texts that cannot be scored', ['--against', '-'], zebra, 1, 'stdin id against 1: token 1 of the text'],
  ['nothing to compare with', ['--against', '-', '--skip-invalid'], zebra, 1, 'stdin: none can be scored'],
])('%s: refused, and nothing is written', async (_, words, input, status, message) => {
  const ended = await surefoot([...disagree, ...words, '--out', 'none'], { cwd: work.path, input });
  expect(ended.stderr).toContain(message);
  expect([ended.status, ended.stdout, existsSync(join(work.path, 'none'))]).toEqual([status, '', false]);
});

test('a fit that can use none of its pairs names the first, its file and line', async () => {
  const pair = { prompt: 'how is the soup ?', chosen: 'zebra', rejected: 'lion' };
  await writeFile(join(work.path, 'zebras.jsonl'), `\n${JSON.stringify(pair)}\n`);
  const fit = (...words: string[]) => run('reward', 'train', '--base', 'task/base', ...words, '--out', 'none');
  const first = 'can be used; the first, zebras.jsonl line 2: token 1 of the text';
  expect((await fit('--pairs', 'zebras.jsonl')).stderr).toContain(`none of 1 pairs ${first}`);
  const heldOut = await fit('--pairs', 'task/pairs.jsonl', '--eval-pairs', 'zebras.jsonl');
  expect(heldOut.stderr).toContain(`none of 1 held-out pairs ${first}`);
});

test('a distance is not asked of token ids', async () => {
  const words = ['reward', 'disagree', '--ensemble', 'ensemble', '--in', 'ids.jsonl', '--pairs', 'task/pairs.jsonl'];
  const ended = await run(...words, '--out', 'ids');
  expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining('id tokens is given as token ids')]);
});

test('of one text is said what its range is, of several the median', async () => {
  const first = (await readFile(join(work.path, 'rollouts.jsonl'), 'utf8')).split('\n')[0]!;
  await writeFile(join(work.path, 'one.jsonl'), `${first}\n`);
  const words = ['reward', 'disagree', '--ensemble', 'ensemble', '--in', 'one.jsonl'];
  const alone = await run(...words, '--against', 'rollouts.jsonl', '--out', 'one');
  expectDone(alone);
  expect(alone.stdout).toMatch(/^3 members on 1 text: the range is \d+\.\d\d standard deviations\n/);
  expect(alone.stdout).toMatch(/\nrollouts\.jsonl: the median range is \d+\.\d\d;/);
  expect(await readFile(join(work.path, 'one/against.svg'), 'utf8')).toContain('one.jsonl (1 text) median');
});
