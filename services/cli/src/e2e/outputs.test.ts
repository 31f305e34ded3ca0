import { execFileSync } from 'node:child_process';
import { cp, lstat, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { wordTokenizerFiles } from '@surefoot/language-model';
import { expectDone, surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const at = (...path: string[]) => join(work.path, ...path);
const run = (...words: string[]) => surefoot(words, { cwd: work.path });
const tokenize = (out: string) => run('tokenize', '--model', 'model', '--in', 'texts.jsonl', '--out', out);
let tokenized: string;
beforeAll(async () => {
  work = await workFolder();
  for (const folder of ['model', 'runs', 'www']) await mkdir(at(folder));
  const files = wordTokenizerFiles(['<bos>', '<eos>', 'good'], { bos: '<bos>', eos: '<eos>' });
  for (const [name, content] of Object.entries(files)) await writeFile(at('model', name), content);
  await writeFile(at('texts.jsonl'), '{"text": "good"}\n{"text": "good good"}\n');
  await cp(join(__dirname, 'report-goldens', 'runs.jsonl'), at('runs', 'runs.jsonl'));
  const printed = await tokenize('-');
  expectDone(printed);
  tokenized = printed.stdout;
});
afterAll(() => work.remove());

test.each([
  'score --model nowhere',
  'reward select --ensemble nowhere --top 1',
  'generate --model nowhere',
  'logprobs --model nowhere',
  'tokenize --model nowhere',
])('%s does not write over what it reads, and says so before it begins', async (command) => {
  const before = await readFile(at('texts.jsonl'), 'utf8');
  const { status, stderr } = await run(...command.split(' '), '--in', 'texts.jsonl', '--out', './texts.jsonl');
  expect([status, stderr]).toEqual([
    2,
    'surefoot: --out ./texts.jsonl is the file that --in texts.jsonl reads, and would take its place: give --out another name\n',
  ]);
  expect(await readFile(at('texts.jsonl'), 'utf8')).toBe(before);
});

test('lines go where --out leads: into a new folder, through a link, into a pipe, to stdout; a linked folder is refused', async () => {
  expectDone(await tokenize('new/folder/out.jsonl'));
  expect(await readFile(at('new/folder/out.jsonl'), 'utf8')).toBe(tokenized);
  await symlink('new/linked.jsonl', at('link'));
  expectDone(await tokenize('link'));
  expect(await readFile(at('new/linked.jsonl'), 'utf8')).toBe(tokenized);
  expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
  execFileSync('mkfifo', [at('pipe')]);
  const piped = readFile(at('pipe'), 'utf8');
  expectDone(await tokenize('pipe'));
  expect(await piped).toBe(tokenized);
  expect((await tokenize('/dev/stdout')).stdout).toBe(tokenized);
  await symlink('model', at('linked-folder'));
  const refused = await tokenize('linked-folder');
  expect([refused.status, refused.stderr]).toEqual([1, 'surefoot: cannot write linked-folder: it is a folder\n']);
});

test('a report goes into a new folder and through a link that --out names, and its default page through none', async () => {
  expectDone(await run('report', 'runs', '--out', 'pool/page.html'));
  expect((await readdir(at('pool'))).sort()).toEqual(['page.html', 'report.json']);
  const page = await readFile(at('pool/page.html'), 'utf8');
  await symlink('../www/page.html', at('pool/link.html'));
  expectDone(await run('report', 'runs', '--out', 'pool/link.html'));
  expect(await readFile(at('www/page.html'), 'utf8')).toBe(page);
  await writeFile(at('precious'), 'old');
  await symlink('../precious', at('runs/report.html'));
  expectDone(await run('report', 'runs'));
  expect(await readFile(at('precious'), 'utf8')).toBe('old');
  expect((await lstat(at('runs/report.html'))).isFile()).toBe(true);
});
